//! `[data]`: the data a network is trained on.

use super::images::{self, Normalisation};
use super::layers;
use super::table::Table;
use super::write::Toml;
use crate::Result;
use crate::data::{Data, Set};
use crate::model::{Model, keys};

/// Keys of every set.
const COMMON: [&str; 6] = ["set", "scale", "shuffle", "validation", "limit", "test_limit"];

/// The keys of `[data]`.
pub(super) fn keys() -> Vec<&'static str> {
    let mut known = vec!["set"];
    let own = Set::all([1; 3], 1).into_iter().flat_map(|mut set| keys::names(&mut *set));
    for key in own.chain(COMMON).chain(images::KEYS) {
        if !known.contains(&key) {
            known.push(key);
        }
    }
    known
}

/// Reads `[data]`.
pub(super) fn read(table: &Table<'_>, model: &Model) -> Result<Data> {
    let all = Set::all(model.input, model.classes);
    let words: Vec<_> = all.iter().map(|set| (set.name(), set)).collect();
    let names: Vec<_> = all.iter().map(|set| set.name()).collect();
    let set = table.word("set", &words)?;
    let mut set = table.required("set", set, &format!("one of {}", names.join(", ")))?.clone();
    let common = [&COMMON[..], &images::KEYS].concat();
    if let Some(key) = table.stranger(&[&common[..], &keys::names(&mut *set)].concat()) {
        return Err(table.bad(key, &set.refusal(key)));
    }
    layers::read(table, &mut *set, &common, "data set")?;
    let wanted = "give two numbers [a, b]; a pixel p becomes p * a + b";
    let scale = table.numbers("scale", wanted)?.unwrap_or(set.default_scale());
    if scale[0] == 0.0 {
        return Err(table.bad("scale", "the first number must not be 0, or all images look the same"));
    }
    let share = |v: f64| (0.0..1.0).contains(&v);
    let validation = table.real("validation", share, "give a share from 0 to below 1, such as 0.1")?.unwrap_or(0.0);
    let [limit, test_limit] = ["limit", "test_limit"].map(|key| table.integer(key, 1..=u64::from(u32::MAX)));
    let (limit, test_limit) = (limit?.map(|limit| limit as usize), test_limit?.map(|limit| limit as usize));
    let [channels, height, width] = set.source();
    let Normalisation { mean, std, mean_image } = images::normalisation(table, channels)?;
    let augment = images::augment(table, [height, width])?;
    let shuffle = table.flag("shuffle")?.unwrap_or(true);
    let data = Data { set, scale, mean, std, mean_image, augment, shuffle, validation, limit, test_limit };
    match data.value_fault() {
        Some((key, fault)) => Err(table.bad(key, &fault)),
        None => Ok(data),
    }
}

/// Checks that the images of the set match the model's input, and that there are enough of them.
pub(super) fn check(data_table: &Table<'_>, model_table: &Table<'_>, model: &Model, data: &Data) -> Result<()> {
    let set = &data.set;
    if model.input != set.image() {
        let wanted = format!("the images of {} have channels, height, width {:?}; write that", set.name(), set.image());
        return Err(model_table.bad("input", &wanted));
    }
    if model.classes != set.classes() {
        let wanted = format!("{} has {} classes; write that", set.named_with_keys(), set.classes());
        return Err(model_table.bad("classes", &wanted));
    }
    if let Some((key, wanted)) = set.fault() {
        let table = if ["input", "classes"].contains(&key) { model_table } else { data_table };
        return Err(table.bad(key, &wanted));
    }
    // If the number of images is not known, the limit is the best case.
    match set.train_len().or(data.limit).and_then(|len| data.share_fault(len)) {
        Some((key, fault)) => Err(data_table.bad(key, &fault)),
        None => Ok(()),
    }
}

/// Writes `[data]`.
pub(super) fn write(toml: &mut Toml, data: &Data) {
    toml.heading("[data]");
    toml.word("set", data.set.name());
    for keys::Entry { key, value, .. } in keys::write(&mut *data.set.clone()) {
        toml.line(key.name, value);
    }
    toml.line("scale", format!("[{:?}, {:?}]", data.scale[0], data.scale[1]));
    images::write_normalisation(toml, data);
    toml.line("shuffle", data.shuffle);
    toml.line("validation", format!("{:?}", data.validation));
    for (key, limit) in [("limit", data.limit), ("test_limit", data.test_limit)] {
        if let Some(limit) = limit {
            toml.line(key, limit);
        }
    }
    images::write_augment(toml, &data.augment);
}
