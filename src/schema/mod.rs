//! The schema of recipes. One function for each section, kind of layer, loss, optimiser rule or
//! schedule names its keys with their meanings, values and ranges ([`Keys`]); recipes are read,
//! written, documented ([`describe()`]) and validated by editors ([`json`]) from it.

mod describe;
pub mod json;
mod write;

pub use describe::{Entry, Form, Section, Variant, describe, markdown};
pub(crate) use write::toml;

use std::borrow::Cow;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::path::PathBuf;

/// A key of a recipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its meaning, in one line.
    pub meaning: &'static str,
    /// For a key without a default, an example value; for a table that must be given, advice.
    pub example: Option<&'static str>,
    /// A default that is not a fixed value, in words.
    pub default: Option<&'static str>,
    /// The key that may be given instead of this one, if only one of them may be given.
    pub rival: Option<Rival>,
}

/// An earlier key of which only it or a later one may be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rival {
    /// Its name.
    pub name: &'static str,
    /// An example value, if one of the two must be given.
    pub example: Option<&'static str>,
}

/// Creates a key with a default.
pub const fn key(name: &'static str, meaning: &'static str) -> Key {
    Key { name, meaning, example: None, default: None, rival: None }
}

impl Key {
    /// Returns the key without a default; `example` shows what to write.
    #[must_use]
    pub const fn required(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// Returns the key with a default in words.
    #[must_use]
    pub const fn by_default(self, words: &'static str) -> Self {
        Self { default: Some(words), ..self }
    }

    /// Returns the key as an alternative to an earlier one; `example` is a value of that one, if
    /// one of the two must be given.
    #[must_use]
    pub const fn or(self, name: &'static str, example: Option<&'static str>) -> Self {
        Self { rival: Some(Rival { name, example }), ..self }
    }
}

/// A key's value, with the allowed values.
pub enum Setting<'a> {
    /// An integer in a range.
    Integer(&'a mut usize, RangeInclusive<usize>),
    /// An integer in a range; 64 bits on every platform.
    Count(&'a mut u64, RangeInclusive<u64>),
    /// One integer for both directions, or (vertical, horizontal).
    Pair(&'a mut [usize; 2], RangeInclusive<usize>),
    /// A list of as many integers.
    Integers(&'a mut [usize], Integers),
    /// A list of increasing integers of at least 1.
    Rising(&'a mut Vec<u64>),
    /// A finite number.
    Number(&'a mut f32, Numbers),
    /// A finite number in double precision.
    Real(&'a mut f64, Numbers<f64>),
    /// A list of finite numbers.
    Numbers(&'a mut Vec<f32>, List),
    /// A Boolean.
    Flag(&'a mut bool),
    /// A text.
    Text(&'a mut String),
    /// One text, or several.
    Texts(&'a mut Vec<String>),
    /// A path, and advice for an empty one.
    Path(&'a mut PathBuf, &'static str),
    /// One of these words, as an index.
    Word(&'a mut usize, &'static [&'static str]),
    /// One of these words, as an index, or a list: `None`, with the list as another setting.
    WordOr(&'a mut Option<usize>, &'static [&'static str], Box<Setting<'a>>),
    /// A setting, and whether it is given.
    Optional(&'a mut bool, Box<Setting<'a>>),
    /// The kind of the table, which determines its other keys. Always required.
    Kind(&'a mut dyn Kinds),
    /// A table.
    Table(&'a mut dyn Keys),
    /// A list of tables.
    Tables(&'a mut dyn Tables),
}

/// Allowed numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<T = f32> {
    /// The interval that they are in.
    pub interval: (Bound<T>, Bound<T>),
    /// Advice for a number outside of it.
    pub advice: &'static str,
}

impl<T: Copy> Numbers<T> {
    /// Creates an interval with advice for other numbers.
    pub fn new(interval: impl RangeBounds<T>, advice: &'static str) -> Self {
        Self { interval: (interval.start_bound().cloned(), interval.end_bound().cloned()), advice }
    }
}

/// Returns the interval of numbers above one.
pub const fn above<T>(low: T) -> (Bound<T>, Bound<T>) {
    (Bound::Excluded(low), Bound::Unbounded)
}

/// Allowed lists of integers.
#[derive(Debug)]
pub struct Integers {
    /// The range of each.
    pub each: RangeInclusive<usize>,
    /// Whether integers in the range are allowed together.
    pub fit: fn(&[usize]) -> bool,
    /// Advice for others.
    pub advice: Cow<'static, str>,
}

/// Allowed lists of numbers.
#[derive(Debug)]
pub struct List {
    /// The allowed lengths.
    pub lengths: RangeInclusive<usize>,
    /// The interval of each number.
    pub each: (Bound<f32>, Bound<f32>),
    /// Whether they increase.
    pub rising: bool,
    /// Advice for others.
    pub advice: Cow<'static, str>,
}

/// The reason for visiting keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To set values; they hold the defaults.
    Read,
    /// To read values.
    Write,
    /// To list all keys with their defaults, including those that have no effect with the current
    /// values of the others. A range that depends on other values is the widest.
    List,
}

/// Receives the keys of a table in order.
pub trait Visitor {
    /// The reason for the visit.
    fn purpose(&self) -> Purpose;
    /// Receives the next key.
    fn visit(&mut self, key: Key, setting: Setting<'_>);
}

/// A table of a recipe.
pub trait Keys {
    /// Visits all keys in the order in which they are written, tables last. A key that has no
    /// effect with the values of earlier ones is visited only for [`Purpose::List`].
    fn keys(&mut self, visitor: &mut dyn Visitor);
}

/// A value of one of several kinds, which have keys of their own.
pub trait Kinds {
    /// Returns the name of each kind and its meaning, in one line.
    fn all(&self) -> Vec<(&'static str, &'static str)>;
    /// Returns the name of the current kind.
    fn name(&self) -> &'static str;
    /// Becomes the kind at this position of [`Self::all`], with its defaults.
    fn choose(&mut self, at: usize);
}

/// A list of tables.
pub trait Tables {
    /// Returns what messages call a table that has a name; others are called by their heading.
    fn what(&self) -> Option<&'static str> {
        None
    }
    /// Returns the number of tables.
    fn count(&self) -> usize;
    /// Returns a table.
    fn item(&mut self, at: usize) -> &mut dyn Keys;
    /// Appends a table with its defaults; `line` is where the text describes it, from 1.
    fn add(&mut self, line: usize) -> &mut dyn Keys;
}

/// Values written as words.
pub trait Word: Copy + PartialEq + 'static {
    /// All values.
    const VALUES: &'static [Self];
    /// Their words.
    const WORDS: &'static [&'static str];

    /// Returns the value's word.
    fn word(self) -> &'static str {
        Self::WORDS[self.position()]
    }

    /// Returns the value's position in [`Self::VALUES`].
    fn position(self) -> usize {
        Self::VALUES.iter().position(|value| *value == self).unwrap_or(0)
    }
}

/// Visits a key whose value is a word.
pub fn word<T: Word>(visitor: &mut dyn Visitor, key: Key, value: &mut T) {
    Words { values: T::VALUES, words: T::WORDS }.visit(visitor, key, value);
}

/// Some values of a type, with their words: those that a key allows.
pub(crate) struct Words<T: 'static> {
    pub(crate) values: &'static [T],
    pub(crate) words: &'static [&'static str],
}

impl<T: Copy + PartialEq + std::fmt::Debug> Words<T> {
    /// Checks that a value is one of them.
    pub(crate) fn check(&self, value: T) -> Result<(), String> {
        match self.values.contains(&value) {
            true => Ok(()),
            false => Err(format!("{value:?} does not apply here; expected one of {}", self.words.join(", "))),
        }
    }
}

impl<T: Copy + PartialEq> Words<T> {
    /// Visits a key with one of these values.
    pub(crate) fn visit(&self, visitor: &mut dyn Visitor, key: Key, value: &mut T) {
        let mut at = self.values.iter().position(|known| known == value).unwrap_or(0);
        visitor.visit(key, Setting::Word(&mut at, self.words));
        *value = self.values[at];
    }
}

/// Visits a key without which there is no value; `start` is the value that a given one replaces.
pub fn optional<T: Clone>(
    visitor: &mut dyn Visitor,
    key: Key,
    value: &mut Option<T>,
    start: T,
    setting: impl FnOnce(&mut T) -> Setting<'_>,
) {
    let (mut given, mut inner) = (value.is_some(), value.clone().unwrap_or(start));
    visitor.visit(key, Setting::Optional(&mut given, Box::new(setting(&mut inner))));
    *value = given.then_some(inner);
}

/// Assigns words to the values of an enum.
macro_rules! words {
    ($name:ident { $($value:ident = $word:literal),* $(,)? }) => {
        impl $crate::schema::Word for $name {
            const VALUES: &'static [Self] = &[$(Self::$value),*];
            const WORDS: &'static [&'static str] = &[$($word),*];
        }

        impl $name {
            /// Returns its name in a recipe.
            pub fn name(self) -> &'static str {
                $crate::schema::Word::word(self)
            }
        }
    };
}
pub(crate) use words;

/// Describes the integers of a range, for advice: "a whole number from 1 to 4".
pub fn whole(range: &RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (low, &u64::MAX) => format!("a whole number of at least {low}"),
        (low, high) => format!("a whole number from {low} to {high}"),
    }
}

/// Converts a range of integers.
pub(crate) fn wide(range: &RangeInclusive<usize>) -> RangeInclusive<u64> {
    *range.start() as u64..=*range.end() as u64
}
