//! What ranks must have in common. Ranks with other recipes, images or weights would train several networks without
//! noticing, or wait for messages that never come.

use super::Ranks;
use crate::bits::{FNV_START, fnv_1a};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::recipe::flat::{Entry, flat};
use crate::train::session::Session;
use crate::train::trained_on::ImageFacts;
use crate::version;
use std::path::PathBuf;

/// A fact about what a rank trains: its name and its value.
pub(in crate::train) type Fact = (String, String);

/// Facts that are known before a session is created: the version, the recipe except for the place of its data, and
/// the images.
pub(in crate::train) fn of_run(recipe: &Recipe, dataset: &Dataset) -> Vec<Fact> {
    let mut recipe = recipe.clone();
    if let Some(location) = recipe.data.set.location() {
        *location.path = PathBuf::new();
    }
    let mut facts = vec![fact("the version of halfwave", version::DESCRIPTION)];
    facts.extend(flat(&recipe).into_iter().map(|Entry { key, value, .. }| (key, value)));
    facts.push(fact("the list of classes", dataset.class_names.join(", ")));
    let splits = [("training", Some(&dataset.train)), ("validation", dataset.validation.as_ref())];
    for (name, split) in splits.into_iter().chain([("test", Some(&dataset.test))]) {
        let Some(ImageFacts { images, labels, pixels }) = split.map(ImageFacts::new) else { continue };
        facts.push(fact(format!("the number of {name} images"), images.to_string()));
        facts.push(fact(format!("the hash of the {name} images' labels"), labels));
        facts.extend(pixels.map(|pixels| fact(format!("the hash of the {name} images' pixels"), pixels)));
    }
    facts
}

/// Checks that all ranks go on from the same state after this step.
///
/// # Errors
///
/// Returns an error if they do not, or if the device or the connection to another rank is lost.
pub(in crate::train) async fn check_state(session: &mut Session, step: u64) -> Result<()> {
    let hash = session.tensors().await?.iter().fold(FNV_START, |hash, (name, tensor)| {
        fnv_1a(fnv_1a(hash, name.as_bytes()), bytemuck::cast_slice(&tensor.values))
    });
    session.agree_on(&[fact("the step", step.to_string()), fact("the hash of the weights", format!("{hash:016x}"))])
}

fn fact(what: impl Into<String>, value: impl Into<String>) -> Fact {
    (what.into(), value.into())
}

impl Ranks {
    /// Checks that all ranks have the same facts. They are not counted as part of a step's exchange.
    ///
    /// # Errors
    ///
    /// Returns an error, the same on all ranks, that names the first fact in which a rank differs from rank 0.
    pub(in crate::train) fn agree_on(&mut self, facts: &[Fact]) -> Result<()> {
        let text = serde_json::to_vec(facts).expect("facts are strings");
        let hash = fnv_1a(FNV_START, &text);
        let own = [hash as u32, (hash >> 32) as u32];
        if self.communicator.gather(&own)?.iter().all(|other| *other == own) {
            return Ok(());
        }
        let words: Vec<u32> = text.into_iter().map(u32::from).collect();
        let texts = self.communicator.gather(&words)?;
        let read = |words: &Vec<u32>| {
            let bytes: Vec<u8> = words.iter().map(|&word| word as u8).collect();
            serde_json::from_slice::<Vec<Fact>>(&bytes).ok()
        };
        let all: Option<Vec<_>> = texts.iter().map(read).collect();
        let found = all.as_ref().and_then(|all| {
            let (first, others) = all.split_first()?;
            others.iter().enumerate().find_map(|(at, other)| Some((at + 1, difference(first, other)?)))
        });
        Err(Error::Usage(match found {
            Some((rank, difference)) => format!(
                "rank {rank} ({} on {}) does not train the same as rank 0: {difference}; start all ranks with the same recipe, options, data and checkpoint",
                self.devices[rank], self.hosts[rank]
            ),
            None => "some ranks do something else than others; start all of them with the same command".into(),
        }))
    }
}

/// The first fact in which a rank differs from the first one.
fn difference(first: &[Fact], other: &[Fact]) -> Option<String> {
    let names = first.iter().chain(other).map(|(name, _)| name);
    let value =
        |facts: &[Fact], name: &str| facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    names.map(|name| (name, value(first, name), value(other, name))).find_map(|found| match found {
        (_, first, other) if first == other => None,
        (name, Some(first), Some(other)) => Some(format!("{name} is {other}, not {first}")),
        (name, Some(first), None) => Some(format!("it lacks {name} = {first}")),
        (name, None, other) => Some(format!("it has {name} = {}", other.unwrap_or_default())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let facts = |pairs: &[(&str, &str)]| pairs.iter().map(|&(name, value)| fact(name, value)).collect::<Vec<_>>();
        let first = facts(&[("train.batch", "64"), ("train.optimizer.lr", "0.05"), ("the step", "3")]);
        assert_eq!(difference(&first, &first), None);
        let other = facts(&[("train.batch", "64"), ("train.optimizer.lr", "0.3"), ("the step", "0")]);
        assert_eq!(difference(&first, &other).unwrap(), "train.optimizer.lr is 0.3, not 0.05");
        let fewer = facts(&[("train.batch", "64"), ("the step", "3")]);
        assert_eq!(difference(&first, &fewer).unwrap(), "it lacks train.optimizer.lr = 0.05");
        assert_eq!(difference(&fewer, &first).unwrap(), "it has train.optimizer.lr = 0.05");
    }
}
