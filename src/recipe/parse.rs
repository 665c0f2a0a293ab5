//! From TOML text to a checked [`Recipe`].
use super::images::{self, Normalisation};
use super::table::{Source, Table};
use super::{Data, Labels, MOST_CLASSES, Recipe, Set, builtin, extend, layers, train};
use crate::Result;
use crate::model::{INPUT, Model, ModelError};

/// What a folder of CIFAR-10 is called when its archive is unpacked.
const CIFAR10_DIR: &str = "cifar-10-batches-bin";

/// The same of CIFAR-100.
const CIFAR100_DIR: &str = "cifar-100-binary";

/// The folder of IDX files of a recipe that names none.
const IDX_DIR: &str = "mnist";

/// The folder of pictures of a recipe that names none.
const FOLDER_DIR: &str = "images";

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
    let known = [&["set", "dir", "labels", "scale", "shuffle"], &images::KEYS[..]].concat();
    let data_table = section("data", "[data]", &known)?;
    let train_table = section("train", "[train]", &train::KEYS)?;

    let model = model(source, &model_table)?;
    let data = data(&data_table, &model)?;
    let train = train::read(&train_table, &model)?;
    check_data(&model_table, &model, &data.set)?;
    let recipe = Recipe { model, data, train };
    // Every epoch has a batch, and every batch has a variance.
    match recipe.data.set.train_len().map(|train_len| recipe.batch_fault(train_len)).transpose()?.flatten() {
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

fn data(table: &Table<'_>, model: &Model) -> Result<Data> {
    let cifar10 = Set::Cifar10 { dir: CIFAR10_DIR.into() };
    let labels = table.word("labels", &[Labels::Fine, Labels::Coarse].map(|labels| (labels.name(), labels)))?;
    let cifar100 = Set::Cifar100 { dir: CIFAR100_DIR.into(), labels: labels.unwrap_or(Labels::Fine) };
    let idx = Set::Idx { dir: IDX_DIR.into(), image: model.input, classes: model.classes };
    let folder = Set::Folder { dir: FOLDER_DIR.into(), image: model.input, classes: model.classes };
    let sets = [&Set::Digits, &cifar10, &cifar100, &idx, &folder].map(|set| (set.name(), set));
    let set = table.word("set", &sets)?;
    let mut set = table.required("set", set, &format!("one of {}", sets.map(|(name, _)| name).join(", ")))?.clone();
    if labels.is_some() && set.name() != cifar100.name() {
        return Err(table.bad("labels", "only cifar100 has two kinds of them; remove it"));
    }
    if let Some(given) = table.string("dir")? {
        match set.dir_mut() {
            Some(dir) if !given.is_empty() => *dir = given.into(),
            Some(_) => return Err(table.bad("dir", "name the folder that holds the images")),
            None => return Err(table.bad("dir", "the digits are embedded; remove it")),
        }
    }
    let wanted = "give two numbers [a, b]; a pixel p becomes p * a + b";
    let scale = table.numbers("scale", wanted)?.unwrap_or(set.default_scale());
    if scale[0] == 0.0 {
        return Err(table.bad("scale", "the first number must not be 0, or all images look the same"));
    }
    let [channels, h, w] = model.input;
    let Normalisation { mean, std, mean_image } = images::normalisation(table, channels)?;
    let augment = images::augment(table, [h, w])?;
    Ok(Data { set, scale, mean, std, mean_image, augment, shuffle: table.flag("shuffle")?.unwrap_or(true) })
}

/// The images of the set are what the model takes.
fn check_data(table: &Table<'_>, model: &Model, set: &Set) -> Result<()> {
    if model.input != set.image() {
        let wanted = format!("the images of {} have channels, height, width {:?}; write that", set.name(), set.image());
        return Err(table.bad("input", &wanted));
    }
    if model.classes != set.classes() {
        let labels = match set {
            Set::Cifar100 { labels, .. } => format!(" with labels = \"{}\"", labels.name()),
            _ => String::new(),
        };
        let wanted = format!("{}{labels} has {} classes; write that", set.name(), set.classes());
        return Err(table.bad("classes", &wanted));
    }
    let at_most = |most: usize, what: &str| match model.classes > most {
        true => Err(table.bad("classes", &format!("{what} has at most {most} classes"))),
        false => Ok(()),
    };
    match set {
        Set::Folder { .. } if !matches!(model.input[0], 1 | 3) => {
            Err(table.bad("input", "pictures have 1 channel (grey) or 3 (colour); begin it with one of these"))
        }
        Set::Folder { .. } => at_most(MOST_CLASSES, "a folder"),
        Set::Idx { .. } => at_most(256, "idx, whose labels are single bytes,"),
        _ => Ok(()),
    }
}
