//! Class labels by name.
//!
//! **Invariant:** a network's outputs are tied to class names, not to positions in a folder:
//! renaming, adding or removing a class folder cannot shift the labels of the others.
use super::{Dataset, Split};
use crate::{Error, Result};
use std::collections::{BTreeSet, HashMap};

/// Number of names that a message lists.
const LISTED: usize = 4;

/// The classes that a data set must have, and their numbering.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Classes<'a> {
    /// The model's number of classes, in the data set's order: for a new run.
    Counted,
    /// Exactly these, in this order: to resume the run of a network with these classes.
    All(&'a [String]),
    /// A subset of these, in this order: to evaluate a network with these classes.
    Among(&'a [String]),
}

impl Classes<'_> {
    /// The names of all labels in order, for a data set that has the classes `found`.
    ///
    /// # Errors
    ///
    /// Returns an error if names are missing or unknown, with what to do; for [`Self::Counted`] if
    /// there are not `count` of them.
    pub(super) fn names(self, found: &[String], count: usize) -> Result<Vec<String>, String> {
        let (known, all) = match self {
            Self::Counted => return super::same_classes(found, count).map(|()| found.to_vec()),
            Self::All(known) => (known, true),
            Self::Among(known) => (known, false),
        };
        let without = |names: &[String], others: &[String]| -> Vec<String> {
            let others: BTreeSet<_> = others.iter().collect();
            names.iter().filter(|name| !others.contains(name)).cloned().collect()
        };
        let (unknown, missing) = (without(found, known), without(known, found));
        if unknown.is_empty() && (missing.is_empty() || !all) {
            return Ok(known.to_vec());
        }
        const ANEW: &str = "or train a new network on these classes";
        Err(match (&unknown[..], &missing[..]) {
            (unknown, []) => format!(
                "the network has no class {} (it has {}); remove it from the data set, {ANEW}",
                listed(unknown),
                listed(known)
            ),
            ([], missing) => {
                format!("the network's class {} is missing from the data set; restore it, {ANEW}", listed(missing))
            }
            (unknown, missing) => format!(
                "the network has no class {}, and its class {} is missing from the data set; if a class was renamed, restore its old name, {ANEW}",
                listed(unknown),
                listed(missing)
            ),
        })
    }
}

/// The first few names in quotes.
fn listed(names: &[String]) -> String {
    let first: Vec<_> = names.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
    let rest = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    first.join(", ") + &rest
}

impl Dataset {
    /// The same images with labels numbered as in `classes`; with [`Classes::Among`], a class may
    /// have no images.
    ///
    /// If the images are ordered by class, they are reordered, so that the result is the same as if
    /// the classes had been in this order from the start.
    ///
    /// # Errors
    ///
    /// Returns an error if classes are missing or unknown.
    pub fn matching(self, classes: Classes<'_>) -> Result<Self> {
        let names = classes.names(&self.class_names, self.classes);
        let names = names.map_err(|message| Error::Data(format!("{}: {message}", self.name)))?;
        if names == self.class_names {
            return Ok(self);
        }
        let label = |at: usize| u16::try_from(at).expect("a data set has at most 65 536 classes");
        let positions: HashMap<_, _> = names.iter().enumerate().map(|(at, name)| (name, label(at))).collect();
        let positions: Vec<u16> = self.class_names.iter().map(|name| positions[name]).collect();
        let relabelled = |mut split: Split| {
            let by_class = split.labels.is_sorted();
            split.labels.iter_mut().for_each(|label| *label = positions[usize::from(*label)]);
            if !by_class || split.labels.is_sorted() {
                return split;
            }
            let mut order: Vec<u32> = (0..split.len() as u32).collect();
            order.sort_by_key(|&at| split.labels[at as usize]);
            split.select(&order)
        };
        let (train, test, validation) =
            (relabelled(self.train), relabelled(self.test), self.validation.map(relabelled));
        Ok(Self { classes: names.len(), class_names: names, train, validation, test, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    /// Images of one pixel, 10 · label + index.
    fn set(classes: &str, labels: &[u16]) -> Dataset {
        let pixels = labels.iter().enumerate().map(|(at, label)| 10 * *label as u8 + at as u8).collect();
        let split = Split::new([1, 1, 1], pixels, labels.to_vec());
        Dataset::images(names(classes), [1, 1, 1], split.clone(), split).unwrap()
    }

    #[test]
    fn labels_follow_their_names() {
        let known = names("b c a");
        let found = set("a b c", &[0, 0, 1, 2]).matching(Classes::All(&known)).unwrap();
        assert_eq!((found.class_names, found.classes), (known.clone(), 3));
        // Ordered by class before and after.
        assert_eq!(found.train.labels, [0, 1, 2, 2]);
        assert_eq!(found.train.in_memory().unwrap(), [12, 23, 0, 1]);
        assert_eq!(found.test, found.train);
        let mixed = set("a b c", &[2, 0, 1, 0]).matching(Classes::All(&known)).unwrap();
        assert_eq!(mixed.train.labels, [1, 2, 0, 2]);
        assert_eq!(mixed.train.in_memory().unwrap(), [20, 1, 12, 3], "any other order is kept");
        let same = set("b c a", &[1, 0, 2]);
        assert_eq!(same.clone().matching(Classes::All(&known)).unwrap(), same);
        let part = set("a c", &[0, 1]).matching(Classes::Among(&known)).unwrap();
        assert_eq!((part.train.labels, part.classes), (vec![1, 2], 3));
    }

    #[test]
    fn other_classes_are_named() {
        let known = names("a b c");
        let message = |classes: Classes<'_>, found: &str| classes.names(&names(found), 3).unwrap_err();
        let (all, among) = (Classes::All(&known), Classes::Among(&known));
        let renamed = message(all, "b c z");
        assert!(renamed.contains("no class \"z\"") && renamed.contains("\"a\" is missing"), "{renamed}");
        assert!(renamed.contains("old name"), "{renamed}");
        assert_eq!(message(among, "b c z"), renamed);
        assert!(message(all, "a b").contains("class \"c\" is missing"));
        assert_eq!(among.names(&names("b"), 3).unwrap(), known);
        for extra in [all, among] {
            let message = message(extra, "a b c d e f g h i");
            assert!(message.contains("\"d\", \"e\", \"f\", \"g\" and 2 more (it has \"a\""), "{message}");
        }
        assert!(message(all, "A b c").contains("no class \"A\""), "case matters");
        assert!(message(Classes::Counted, "a b").contains("classes = 2"));
        assert_eq!(Classes::Counted.names(&names("x y z"), 3).unwrap(), names("x y z"));
    }
}
