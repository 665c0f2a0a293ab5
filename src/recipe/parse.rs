//! From TOML text to a checked [`Recipe`].
use super::table::{Source, Table};
use super::{Data, Length, MOST_CLASSES, Optimizer, Recipe, Schedule, Set, Train, layers};
use crate::Result;
use crate::model::{INPUT, Model, ModelError};
use toml::de::DeTable;

/// What a folder of CIFAR-10 is called when its archive is unpacked.
const CIFAR10_DIR: &str = "cifar-10-batches-bin";

/// The folder of pictures of a recipe that names none.
const FOLDER_DIR: &str = "images";

/// See [`Recipe::parse`].
pub(super) fn recipe(text: &str, file: &str) -> Result<Recipe> {
    let source = Source { file, text };
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| source.line(span.start));
        source.error(line, format!("not valid TOML: {}", error.message().lines().collect::<Vec<_>>().join(", ")))
    })?;
    let sections = vec!["model", "data", "train"];
    let root = Table::new(source, "recipe".into(), document.span(), document.get_ref(), sections)?;
    let section = |key, what: &str, known: &[&'static str]| {
        let missing = || root.error(1, &format!("{what} is missing; a recipe has [model], [data] and [train]"));
        root.table(key, what, known)?.ok_or_else(missing)
    };
    let model_table = section("model", "[model]", &["input", "classes", "layers"])?;
    let data_table = section("data", "[data]", &["set", "dir", "scale", "shuffle"])?;
    let keys = ["batch", "epochs", "steps", "seed", "drop_last", "evaluate_every", "optimizer", "schedule"];
    let train_table = section("train", "[train]", &keys)?;

    let model = model(source, &model_table)?;
    let data = data(&data_table, &model)?;
    let train = train(&train_table)?;
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
    Ok(model)
}

fn data(table: &Table<'_>, model: &Model) -> Result<Data> {
    let cifar10 = Set::Cifar10 { dir: CIFAR10_DIR.into() };
    let folder = Set::Folder { dir: FOLDER_DIR.into(), image: model.input, classes: model.classes };
    let set = table.word("set", &[("digits", &Set::Digits), ("cifar10", &cifar10), ("folder", &folder)])?;
    let mut set = table.required("set", set, "\"digits\", \"cifar10\" or \"folder\"")?.clone();
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
    Ok(Data { set, scale, shuffle: table.flag("shuffle")?.unwrap_or(true) })
}

fn train(table: &Table<'_>) -> Result<Train> {
    let batch = table.required("batch", table.integer("batch", 1..=65_536)?, "64")? as usize;
    let length = match (table.integer("epochs", 1..=u64::MAX)?, table.integer("steps", 1..=u64::MAX)?) {
        (Some(epochs), None) => Length::Epochs(epochs),
        (None, Some(steps)) => Length::Steps(steps),
        (None, None) => return Err(table.error(table.line, "give either epochs or steps, such as epochs = 20")),
        (Some(_), Some(_)) => return Err(table.bad("steps", "give either epochs or steps, not both")),
    };
    let optimizer = table.table("optimizer", "[train.optimizer]", &["kind", "lr", "momentum", "weight_decay"])?;
    let optimizer =
        optimizer.ok_or_else(|| table.error(table.line, "[train.optimizer] is missing; add it with kind and lr"))?;
    Ok(Train {
        batch,
        length,
        seed: table.integer("seed", 0..=u64::MAX)?.unwrap_or(0),
        drop_last: table.flag("drop_last")?.unwrap_or(false),
        evaluate_every: table.integer("evaluate_every", 1..=u64::MAX)?.unwrap_or(1),
        optimizer: read_optimizer(&optimizer)?,
        schedule: read_schedule(table)?,
    })
}

fn read_schedule(train: &Table<'_>) -> Result<Schedule> {
    let Some(table) = train.table("schedule", "[train.schedule]", &["kind"])? else { return Ok(Schedule::default()) };
    let kind = table.word("kind", &[("constant", Schedule::Constant), ("linear", Schedule::Linear)])?;
    table.required("kind", kind, "\"constant\" or \"linear\"")
}

fn read_optimizer(table: &Table<'_>) -> Result<Optimizer> {
    table.required("kind", table.word("kind", &[("sgd", ())])?, "\"sgd\"")?;
    let lr = table.number("lr", |v| v > 0.0, "give a finite number above 0, such as 0.05")?;
    Ok(Optimizer::Sgd {
        lr: table.required("lr", lr, "0.05")?,
        momentum: table
            .number("momentum", |v| (0.0..1.0).contains(&v), "give a number from 0 to below 1, such as 0.9")?
            .unwrap_or(0.0),
        weight_decay: table
            .number("weight_decay", |v| v >= 0.0, "give a finite number of at least 0, such as 5e-4")?
            .unwrap_or(0.0),
    })
}

/// The images of the set are what the model takes.
fn check_data(table: &Table<'_>, model: &Model, set: &Set) -> Result<()> {
    if model.input != set.image() {
        let wanted = format!("the images of {} have channels, height, width {:?}; write that", set.name(), set.image());
        return Err(table.bad("input", &wanted));
    }
    if model.classes != set.classes() {
        return Err(table.bad("classes", &format!("{} has {} classes; write that", set.name(), set.classes())));
    }
    if matches!(set, Set::Folder { .. }) {
        if !matches!(model.input[0], 1 | 3) {
            return Err(table.bad("input", "pictures have 1 channel (grey) or 3 (colour); begin it with one of these"));
        }
        if model.classes > MOST_CLASSES {
            return Err(table.bad("classes", &format!("a folder has at most {MOST_CLASSES} classes")));
        }
    }
    Ok(())
}
