//! Descriptions of tables: their keys with allowed values and defaults.

use super::{Key, Keys, Purpose, Setting, Visitor, whole, wide, write};
use std::ops::{Bound, RangeInclusive};

/// The description of a table. One without kinds has a single variant.
#[derive(Clone, PartialEq, Debug)]
pub struct Section {
    /// The key that names the kind, if there is one.
    pub kind: Option<Key>,
    /// The keys of each kind.
    pub variants: Vec<Variant>,
}

/// The keys of one kind of table.
#[derive(Clone, PartialEq, Debug)]
pub struct Variant {
    /// The kind's name; empty if there are no kinds.
    pub name: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
    /// All keys in order, except the one that names the kind.
    pub entries: Vec<Entry>,
}

/// A key with its values.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The default as it is written; `None` if there is no value by default, or for tables.
    pub value: Option<String>,
    /// The allowed values.
    pub form: Form,
}

/// Allowed values.
#[derive(Clone, PartialEq, Debug)]
pub enum Form {
    /// An integer.
    Integer(RangeInclusive<u64>),
    /// An integer, or a list of two.
    Pair(RangeInclusive<u64>),
    /// A list of as many integers.
    Integers(usize, RangeInclusive<u64>),
    /// A list of increasing integers of at least 1.
    Rising,
    /// A number.
    Number(Bound<f64>, Bound<f64>),
    /// A list of numbers, and the allowed lengths.
    Numbers(RangeInclusive<usize>, Bound<f64>, Bound<f64>),
    /// A Boolean.
    Flag,
    /// A text.
    Text,
    /// A string, or a list of strings.
    Texts,
    /// A path, not empty.
    Path,
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words, or another form.
    WordOr(&'static [&'static str], Box<Form>),
    /// A table.
    Table(Section),
    /// A list of tables.
    Tables(Section),
}

/// Describes a table that holds its defaults.
pub fn describe(object: &mut dyn Keys) -> Section {
    let mut visit = |kind| {
        let mut describer = Describer { kind, key: None, kinds: Vec::new(), entries: Vec::new() };
        object.keys(&mut describer);
        describer
    };
    let Describer { key: kind, mut kinds, entries, .. } = visit(0);
    let others = (1..kinds.len()).map(|at| visit(at).entries);
    let all: Vec<_> = [entries].into_iter().chain(others).collect();
    if kinds.is_empty() {
        kinds.push(("", ""));
    }
    let variants = kinds.into_iter().zip(all).map(|((name, meaning), entries)| Variant { name, meaning, entries });
    Section { kind, variants: variants.collect() }
}

impl Section {
    /// Returns the entries that all kinds have in common.
    pub fn common(&self) -> Vec<&Entry> {
        let [first, rest @ ..] = &self.variants[..] else { return Vec::new() };
        first.entries.iter().filter(|entry| rest.iter().all(|other| other.entries.contains(entry))).collect()
    }

    /// Returns the keys of the table and of all tables in it, except those that name kinds.
    pub fn keys(&self) -> Vec<Key> {
        let entries = self.variants.iter().flat_map(|variant| &variant.entries);
        entries
            .flat_map(|entry| [vec![entry.key], entry.form.table().map(Self::keys).unwrap_or_default()].concat())
            .collect()
    }

    /// Returns the names of the keys that name kinds, in the table and in all tables in it.
    pub fn kinds(&self) -> Vec<&'static str> {
        let entries = self.variants.iter().flat_map(|variant| &variant.entries);
        let inner = entries.filter_map(|entry| entry.form.table()).flat_map(Self::kinds);
        let mut kinds: Vec<_> = self.kind.iter().map(|key| key.name).chain(inner).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Returns the names of all keys of any kind.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.kind.iter().map(|key| key.name).collect();
        for entry in self.variants.iter().flat_map(|variant| &variant.entries) {
            if !names.contains(&entry.key.name) {
                names.push(entry.key.name);
            }
        }
        names
    }
}

struct Describer {
    /// The position of the kind to describe.
    kind: usize,
    key: Option<Key>,
    kinds: Vec<(&'static str, &'static str)>,
    entries: Vec<Entry>,
}

impl Visitor for Describer {
    fn purpose(&self) -> Purpose {
        Purpose::List
    }

    fn visit(&mut self, key: Key, setting: Setting<'_>) {
        if let Setting::Kind(kinds) = setting {
            (self.key, self.kinds) = (Some(key), kinds.all());
            kinds.choose(self.kind);
            return;
        }
        let value = write::text(&setting);
        self.entries.push(Entry { key, value, form: form(setting) });
    }
}

fn form(setting: Setting<'_>) -> Form {
    match setting {
        Setting::Integer(_, range) => Form::Integer(wide(&range)),
        Setting::Count(_, range) => Form::Integer(range),
        Setting::Pair(_, range) => Form::Pair(wide(&range)),
        Setting::Integers(values, integers) => Form::Integers(values.len(), wide(&integers.each)),
        Setting::Rising(_) => Form::Rising,
        Setting::Number(_, numbers) => Form::Number(double(numbers.interval.0), double(numbers.interval.1)),
        Setting::Real(_, numbers) => Form::Number(numbers.interval.0, numbers.interval.1),
        Setting::Numbers(_, list) => Form::Numbers(list.lengths, double(list.each.0), double(list.each.1)),
        Setting::Flag(_) => Form::Flag,
        Setting::Text(_) => Form::Text,
        Setting::Texts(_) => Form::Texts,
        Setting::Path(..) => Form::Path,
        Setting::Word(_, words) => Form::Words(words),
        Setting::WordOr(_, words, other) => Form::WordOr(words, Box::new(form(*other))),
        Setting::Optional(_, setting) => form(*setting),
        Setting::Table(object) => Form::Table(describe(object)),
        Setting::Tables(list) => Form::Tables(describe(list.add(0))),
        Setting::Kind(_) => unreachable!("the describer handles it"),
    }
}

/// Converts a bound to the double with the same shortest decimal form.
fn double(bound: Bound<f32>) -> Bound<f64> {
    bound.map(|value| value.to_string().parse().unwrap_or(f64::from(value)))
}

/// Returns a table of keys in Markdown, after an empty line; nothing without keys. Tables in the
/// table are left out.
pub fn markdown(entries: &[&Entry]) -> String {
    // Bars would end a cell.
    let cell = |text: &str| text.replace('|', "\\|");
    let mut text = String::new();
    for Entry { key, value, form } in entries {
        if form.table().is_some() {
            continue;
        }
        let default = match (key.example, key.default, value) {
            (Some(example), ..) => format!("required, such as `{example}`"),
            (None, Some(words), _) => words.to_string(),
            (None, None, Some(value)) => format!("`{value}`"),
            (None, None, None) => "none".to_string(),
        };
        let [values, meaning] = [form.markdown(), key.meaning.to_string()].map(|text| cell(&text));
        text += &format!("| `{}` | {values} | {default} | {meaning} |\n", key.name);
    }
    let head = "\n| key | values | default | meaning |\n|---|---|---|---|\n";
    if text.is_empty() { text } else { format!("{head}{text}") }
}

impl Form {
    /// Returns the description of the table, or of each table in a list.
    pub fn table(&self) -> Option<&Section> {
        match self {
            Self::Table(section) | Self::Tables(section) => Some(section),
            _ => None,
        }
    }

    /// Describes the allowed values in a few words of Markdown.
    pub fn markdown(&self) -> String {
        let words = |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Integer(range) => whole(range),
            Self::Pair(range) => format!("{}, or `[vertical, horizontal]`", whole(range)),
            Self::Integers(count, range) => format!("a list of {count}, each {}", whole(range)),
            Self::Rising => "a list of increasing whole numbers of at least 1".into(),
            Self::Number(low, high) => format!("a number{}", interval(*low, *high)),
            Self::Numbers(lengths, low, high) => {
                let each = format!("numbers{}", interval(*low, *high));
                match (*lengths.start(), *lengths.end()) {
                    (low, high) if low == high => format!("a list of {low} {each}"),
                    (_, usize::MAX) => format!("a list of {each}"),
                    (low, high) => format!("a list of {low} to {high} {each}"),
                }
            }
            Self::Flag => "`true` or `false`".into(),
            Self::Text => "a string".into(),
            Self::Texts => "a string, or a list of strings".into(),
            Self::Path => "a path".into(),
            Self::Words(all) => words(all),
            Self::WordOr(all, other) => format!("{}, or {}", words(all), other.markdown()),
            Self::Table(_) => "a table".into(),
            Self::Tables(_) => "a list of tables".into(),
        }
    }
}

/// Describes an interval: " above 0, up to 1".
fn interval(low: Bound<f64>, high: Bound<f64>) -> String {
    let short = |value: f64| if value != 0.0 && value.abs() < 1e-3 { format!("{value:e}") } else { value.to_string() };
    let [low, high] = [low, high].map(|bound| bound.map(short));
    match (low, high) {
        (Bound::Unbounded, Bound::Unbounded) => String::new(),
        (Bound::Included(low), Bound::Included(high)) => format!(" from {low} to {high}"),
        (Bound::Included(low), Bound::Excluded(high)) => format!(" from {low} to below {high}"),
        (Bound::Excluded(low), Bound::Included(high)) => format!(" above {low}, up to {high}"),
        (Bound::Excluded(low), Bound::Excluded(high)) => format!(" above {low} and below {high}"),
        (Bound::Included(low), Bound::Unbounded) => format!(" of at least {low}"),
        (Bound::Excluded(low), Bound::Unbounded) => format!(" above {low}"),
        (Bound::Unbounded, Bound::Included(high)) => format!(" of at most {high}"),
        (Bound::Unbounded, Bound::Excluded(high)) => format!(" below {high}"),
    }
}
