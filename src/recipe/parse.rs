//! Parses TOML text into a checked [`Recipe`].
use super::table::{Source, Table};
use super::{Recipe, builtin, data, extend, layers, train};
use crate::Result;
use crate::model::{INPUT, Model, ModelError};

/// See [`Recipe::parse`].
pub(super) fn recipe(text: &str, file: &str) -> Result<Recipe> {
    let texts = extend::Texts::read(text, file, builtin)?;
    let (source, document) = (texts.source(), texts.merged()?);
    let sections = vec!["model", "data", "train"];
    let root = Table::new(source, "recipe".into(), document.span(), document.get_ref(), sections)?;
    let section = |key, what: &str, known: &[&'static str]| {
        let missing = || root.error(1, &format!("{what} is missing; a recipe has [model], [data] and [train]"));
        root.table(key, what, known)?.ok_or_else(missing)
    };
    let model_table = section("model", "[model]", &["input", "classes", "layers"])?;
    let data_table = section("data", "[data]", &data::keys())?;
    let train_table = section("train", "[train]", &train::KEYS)?;

    let model = model(source, &model_table)?;
    let data = data::read(&data_table, &model)?;
    let train = train::read(&train_table, &model)?;
    data::check(&data_table, &model_table, &model, &data)?;
    let recipe = Recipe { model, data, train };
    // Every epoch needs a batch, and every batch a variance.
    match recipe.data.train_len().map(|train_len| recipe.batch_fault(train_len)).transpose()?.flatten() {
        Some(fault) => Err(train_table.bad("batch", &fault)),
        None => Ok(recipe),
    }
}

fn model(source: Source<'_>, table: &Table<'_>) -> Result<Model> {
    let input = table.integers("input", 1..=1 << 20, "[3, 32, 32] (channels, height, width)")?;
    let input = table.required("input", input, "[channels, height, width]")?;
    let classes = table.required("classes", table.integer("classes", 1..=1 << 20)?, "10")? as usize;
    let mut model = Model { input, classes, layers: Vec::new() };
    let mut from_lines = Vec::new();
    for (index, entry) in table.tables("layers")?.into_iter().enumerate() {
        let previous = model.layers.last().map_or(INPUT, |layer| &layer.name);
        let (layer, from_line) = layers::layer(source, entry, index, previous)?;
        model.layers.push(layer);
        from_lines.push(from_line);
    }
    for (index, line) in from_lines.into_iter().enumerate() {
        model.sources(index).map_err(|error| source.error(line, error.message))?;
    }
    let at = |error: ModelError| {
        let line = error.layer.map_or(table.line, |index| model.layers[index].line);
        source.error(line, error.message)
    };
    model.shapes().map_err(at)?;
    model.layers.iter_mut().for_each(|layer| layer.line = source.own(layer.line).unwrap_or(0));
    Ok(model)
}
