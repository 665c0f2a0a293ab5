//! The keys of a layer, or of an optimiser's rule: one function for each kind names every key with its meaning, its value and what that may be. Reading recipes, writing them and listing
//! what there is all come from it.

use std::ops::RangeInclusive;

/// A key as it is written in a recipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it means, in a line.
    pub meaning: &'static str,
    /// What to write, where it may not be left out.
    pub example: Option<&'static str>,
}

/// A key with a default.
pub const fn key(name: &'static str, meaning: &'static str) -> Key {
    Key { name, meaning, example: None }
}

impl Key {
    /// The key without a default; `example` shows what to write.
    #[must_use]
    pub const fn required(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }
}

/// A key's value, with what it may be.
#[derive(Debug)]
pub enum Slot<'a> {
    /// A whole number in a range.
    Integer(&'a mut usize, RangeInclusive<usize>),
    /// One whole number for both directions, or (vertical, horizontal).
    Pair(&'a mut [usize; 2], RangeInclusive<usize>),
    /// A finite number of a kind.
    Number(&'a mut f32, Numbers),
    /// The same in double precision.
    Real(&'a mut f64, Numbers<f64>),
    /// Yes or no.
    Flag(&'a mut bool),
    /// One of these words, by its place.
    Word(&'a mut usize, &'static [&'static str]),
    /// One of these words, or a list of numbers.
    Levels(&'a mut super::Levels),
    /// \[IL, FL\] of fixed point.
    Format(&'a mut [usize; 2]),
    /// The same, or "float".
    FormatOrFloat(&'a mut Option<[usize; 2]>),
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<T = f32> {
    /// Whether one is of the kind.
    pub fits: fn(T) -> bool,
    /// What to write.
    pub wanted: &'static str,
}

/// Why keys are visited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Values are set; they hold the defaults.
    Read,
    /// Values are read.
    Write,
    /// All keys are wanted, whether they mean something beside the others' values or not.
    List,
}

/// Is shown a layer's keys, one after the other.
pub trait Visitor {
    /// Why.
    fn purpose(&self) -> Purpose;
    /// The next key.
    fn visit(&mut self, key: Key, slot: Slot<'_>);
}

/// What has keys.
pub trait Keys {
    /// Shows all keys in the order in which they are written. A key that means nothing beside the values of earlier ones is shown for [`Purpose::List`] alone.
    fn keys(&mut self, visitor: &mut dyn Visitor);
}

/// Values that are words.
pub trait Word: Copy + PartialEq + 'static {
    /// Every value.
    const VALUES: &'static [Self];
    /// Their words.
    const WORDS: &'static [&'static str];

    /// The value's word.
    fn word(self) -> &'static str {
        let at = Self::VALUES.iter().position(|value| *value == self);
        Self::WORDS[at.unwrap_or(0)]
    }
}

/// Shows a key whose value is a word.
pub fn word<T: Word>(visitor: &mut dyn Visitor, key: Key, value: &mut T) {
    let mut at = T::VALUES.iter().position(|known| known == value).unwrap_or(0);
    visitor.visit(key, Slot::Word(&mut at, T::WORDS));
    *value = T::VALUES[at];
}

/// Gives an enum its words.
macro_rules! words {
    ($name:ident { $($value:ident = $word:literal),* $(,)? }) => {
        impl $crate::model::keys::Word for $name {
            const VALUES: &'static [Self] = &[$(Self::$value),*];
            const WORDS: &'static [&'static str] = &[$($word),*];
        }
    };
}
pub(super) use words;

/// A key with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value as it is written.
    pub value: String,
    /// All that it may be, where that is one of a few words.
    pub words: &'static [&'static str],
}

/// The names of all keys of something.
pub fn names(of: &mut dyn Keys) -> Vec<&'static str> {
    list(of).into_iter().map(|entry| entry.key.name).collect()
}

/// All keys of something that holds its defaults.
pub fn list(of: &mut dyn Keys) -> Vec<Entry> {
    let mut written = Written { purpose: Purpose::List, keys: Vec::new() };
    of.keys(&mut written);
    written.keys
}

/// The keys that mean something.
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
            // The shortest text that gives the same f32 back, and a float to any TOML reader.
            Slot::Number(value, _) => format!("{value:?}"),
            Slot::Real(value, _) => format!("{value:?}"),
            Slot::Flag(value) => value.to_string(),
            Slot::Word(at, words) => format!("\"{}\"", words[*at]),
            Slot::Levels(levels) => levels.to_string(),
            Slot::FormatOrFloat(None) => "\"float\"".to_string(),
        };
        self.keys.push(Entry { key, value, words });
    }
}
