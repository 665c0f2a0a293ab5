//! The keys of a layer, of an optimiser rule or of a data set. One function for each kind names every key with its
//! meaning, its value and the allowed values; recipes are read, written and documented from it.

use std::ops::RangeInclusive;
use std::path::PathBuf;

/// A key of a recipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its meaning, in one line.
    pub meaning: &'static str,
    /// An example value, for a key without a default.
    pub example: Option<&'static str>,
}

/// Creates a key with a default.
pub const fn key(name: &'static str, meaning: &'static str) -> Key {
    Key { name, meaning, example: None }
}

impl Key {
    /// Returns the key without a default; `example` shows what to write.
    #[must_use]
    pub const fn required(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }
}

/// A key's value, with the allowed values.
#[derive(Debug)]
pub enum Slot<'a> {
    /// An integer in a range.
    Integer(&'a mut usize, RangeInclusive<usize>),
    /// One integer for both directions, or (vertical, horizontal).
    Pair(&'a mut [usize; 2], RangeInclusive<usize>),
    /// A finite number of the given kind.
    Number(&'a mut f32, Numbers),
    /// A finite number in double precision.
    Real(&'a mut f64, Numbers<f64>),
    /// A Boolean.
    Flag(&'a mut bool),
    /// The path of a file or folder, which must not be empty, and advice if it is.
    Path(&'a mut PathBuf, &'static str),
    /// One of these words, as an index.
    Word(&'a mut usize, &'static [&'static str]),
    /// One of these words, or a list of numbers.
    Levels(&'a mut super::Levels),
    /// \[IL, FL\] of fixed point.
    Format(&'a mut [usize; 2]),
    /// \[IL, FL\] of fixed point, or "float".
    FormatOrFloat(&'a mut Option<[usize; 2]>),
}

/// A kind of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<T = f32> {
    /// Whether a number is of this kind.
    pub fits: fn(T) -> bool,
    /// Advice for a number that is not.
    pub wanted: &'static str,
}

/// The reason for visiting keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To set values; they hold the defaults.
    Read,
    /// To read values.
    Write,
    /// To list all keys, including those that have no effect with the current values of the others.
    List,
}

/// Receives a layer's keys in order.
pub trait Visitor {
    /// The reason for the visit.
    fn purpose(&self) -> Purpose;
    /// Receives the next key.
    fn visit(&mut self, key: Key, slot: Slot<'_>);
}

/// A type with keys.
pub trait Keys {
    /// Visits all keys in the order in which they are written. A key that has no effect with the
    /// values of earlier ones is visited only for [`Purpose::List`].
    fn keys(&mut self, visitor: &mut dyn Visitor);
}

/// Values written as words.
pub trait Word: Copy + PartialEq + 'static {
    /// All values.
    const VALUES: &'static [Self];
    /// Their words.
    const WORDS: &'static [&'static str];

    /// Returns the value's word.
    fn word(self) -> &'static str {
        let at = Self::VALUES.iter().position(|value| *value == self);
        Self::WORDS[at.unwrap_or(0)]
    }
}

/// Visits a key whose value is a word.
pub fn word<T: Word>(visitor: &mut dyn Visitor, key: Key, value: &mut T) {
    let mut at = T::VALUES.iter().position(|known| known == value).unwrap_or(0);
    visitor.visit(key, Slot::Word(&mut at, T::WORDS));
    *value = T::VALUES[at];
}

/// Assigns words to the values of an enum.
macro_rules! words {
    ($name:ident { $($value:ident = $word:literal),* $(,)? }) => {
        impl $crate::model::keys::Word for $name {
            const VALUES: &'static [Self] = &[$(Self::$value),*];
            const WORDS: &'static [&'static str] = &[$($word),*];
        }
    };
}
pub(crate) use words;

/// A key with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value as it is written.
    pub value: String,
    /// All allowed values, if the value is one of a few words.
    pub words: &'static [&'static str],
}

/// Returns the names of all keys.
pub fn names(of: &mut dyn Keys) -> Vec<&'static str> {
    list(of).into_iter().map(|entry| entry.key.name).collect()
}

/// Returns all keys of an object that holds its defaults.
pub fn list(of: &mut dyn Keys) -> Vec<Entry> {
    let mut written = Written { purpose: Purpose::List, keys: Vec::new() };
    of.keys(&mut written);
    written.keys
}

/// Returns the keys that have an effect.
pub fn write(of: &mut dyn Keys) -> Vec<Entry> {
    let mut written = Written { purpose: Purpose::Write, keys: Vec::new() };
    of.keys(&mut written);
    written.keys
}

struct Written {
    purpose: Purpose,
    keys: Vec<Entry>,
}

impl Visitor for Written {
    fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn visit(&mut self, key: Key, slot: Slot<'_>) {
        let words = if let Slot::Word(_, words) = slot { words } else { &[] };
        let value = match slot {
            Slot::Integer(value, _) => value.to_string(),
            Slot::Pair([a, b], _) | Slot::Format([a, b]) | Slot::FormatOrFloat(Some([a, b])) => format!("[{a}, {b}]"),
            // The shortest text that parses to the same f32, and that TOML readers take for a
            // float.
            Slot::Number(value, _) => format!("{value:?}"),
            Slot::Real(value, _) => format!("{value:?}"),
            Slot::Flag(value) => value.to_string(),
            Slot::Path(path, _) => toml::Value::String(path.to_string_lossy().into()).to_string(),
            Slot::Word(at, words) => format!("\"{}\"", words[*at]),
            Slot::Levels(levels) => levels.to_string(),
            Slot::FormatOrFloat(None) => "\"float\"".to_string(),
        };
        self.keys.push(Entry { key, value, words });
    }
}
