//! Reads one TOML table key by key, and reports every mistake with its line.
//!
//! **Invariant:** an unknown key is reported before a missing one, since the one is often the
//! other, misspelt.
use crate::model::{FORMAT_WANTED, format_fits};
use crate::{Error, Result};
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The concatenated texts of a recipe, used to convert an offset in them to an error. Offsets and
/// lines count through all of them.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    /// Every file with the number of lines before it; the recipe's own file comes first.
    pub(super) files: &'a [(String, usize)],
}

impl Source<'_> {
    /// The line, from 1, of the byte at `offset`.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// The line in the recipe's own file; `None` if it is in a recipe that this one extends.
    pub(super) fn own(&self, line: usize) -> Option<usize> {
        self.files.get(1).is_none_or(|(_, before)| line <= *before).then_some(line)
    }

    pub(super) fn error(&self, line: usize, message: String) -> Error {
        let at = self.files.partition_point(|(_, before)| *before < line).saturating_sub(1);
        let (file, before) = &self.files[at];
        Error::Recipe { file: file.clone(), line: line - before, message }
    }
}

/// A table of the recipe: its name in messages, its first line, and its known keys.
pub(super) struct Table<'a> {
    source: Source<'a>,
    what: String,
    entries: &'a DeTable<'a>,
    pub(super) line: usize,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// # Errors
    ///
    /// Returns an error for the first key that is not among `known`, with the nearest known one.
    pub(super) fn new(
        source: Source<'a>,
        what: String,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
        known: Vec<&'static str>,
    ) -> Result<Self> {
        let table = Self { source, what, line: source.line(span.start), entries, known };
        let strangers = entries.keys().filter(|key| !table.known.contains(&key.get_ref().as_ref()));
        match strangers.min_by_key(|key| key.span().start) {
            Some(key) => {
                let name = key.get_ref().as_ref();
                let message = format!("unknown key \"{name}\"; {}", suggest(name, &table.known));
                Err(table.error(source.line(key.span().start), &message))
            }
            None => Ok(table),
        }
    }

    /// An error in this table.
    pub(super) fn error(&self, line: usize, message: &str) -> Error {
        self.source.error(line, format!("{}: {message}", self.what))
    }

    /// The first key in the file that is given and not among `meant`. Keys of an extended recipe
    /// are ignored: they lost their meaning by a change.
    pub(super) fn stranger(&self, meant: &[&'static str]) -> Option<&'static str> {
        let own = |offset| self.source.own(self.source.line(offset)).is_some();
        let strangers =
            self.entries.keys().filter(|key| !meant.contains(&key.get_ref().as_ref()) && own(key.span().start));
        let first = strangers.min_by_key(|key| key.span().start)?;
        self.known.iter().find(|known| **known == first.get_ref().as_ref()).copied()
    }

    /// The line of a key, or of the table if the key is not given.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.find(key).map_or(self.line, |value| self.source.line(value.span().start))
    }

    fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        debug_assert!(self.known.contains(&key), "{key} is read but not known");
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// The value as written, cut to one short line.
    fn written(&self, value: &Spanned<DeValue<'_>>) -> String {
        let text = self.source.text.get(value.span()).unwrap_or_default();
        let short: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
        if short.len() < text.len() { short + " …" } else { short }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Error {
        let message = format!("{key} = {}: {wanted}", self.written(value));
        self.error(self.source.line(value.span().start), &message)
    }

    /// An error about the value of `key`.
    pub(super) fn bad(&self, key: &str, wanted: &str) -> Error {
        match self.find(key) {
            Some(value) => self.wrong(key, value, wanted),
            None => self.error(self.line, &format!("{key}: {wanted}")),
        }
    }

    /// `value`, or the error that `key` is missing; `example` shows what to write.
    pub(super) fn required<T>(&self, key: &str, value: Option<T>, example: &str) -> Result<T> {
        value.ok_or_else(|| self.error(self.line, &format!("{key} is missing; add {key} = {example}")))
    }

    fn get<T>(&self, key: &str, wanted: &str, read: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.find(key) else { return Ok(None) };
        read(value.get_ref()).map(Some).ok_or_else(|| self.wrong(key, value, wanted))
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key, "give a string in quotes", |value| value.as_str())
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key, "write true or false", DeValue::as_bool)
    }

    /// One text, or several.
    pub(super) fn strings(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        self.get(key, "give a string in quotes, or a list of strings", |value| match value {
            DeValue::Array(items) if !items.is_empty() => items.iter().map(|item| item.get_ref().as_str()).collect(),
            value => value.as_str().map(|text| vec![text]),
        })
    }

    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        self.get(key, &format!("give {}", integers(&range)), |value| {
            integer(value).filter(|number| range.contains(number))
        })
    }

    /// Exactly `N` integers.
    pub(super) fn integers<const N: usize>(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
        example: &str,
    ) -> Result<Option<[usize; N]>> {
        let wanted = format!("give a list of {N}, each {}, such as {example}", integers(&range));
        self.get(key, &wanted, |value| list(value, |item| in_range(item, &range)))
    }

    /// At least one integer, each larger than the one before it, the first at least 1.
    pub(super) fn rising(&self, key: &str) -> Result<Option<Vec<u64>>> {
        self.get(key, "give a list of increasing whole numbers of at least 1, such as [80, 120]", |value| {
            let items: Option<Vec<u64>> = value.as_array()?.iter().map(|item| integer(item.get_ref())).collect();
            items.filter(|items| items.first() >= Some(&1) && items.is_sorted_by(|a, b| a < b))
        })
    }

    /// One integer for both directions, or `[vertical, horizontal]`.
    pub(super) fn pair(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<[usize; 2]>> {
        let wanted = format!("give {}, or two of them as [vertical, horizontal]", integers(&range));
        self.get(key, &wanted, |value| match in_range(value, &range) {
            Some(both) => Some([both; 2]),
            None => list(value, |item| in_range(item, &range)),
        })
    }

    /// A number for which `fits` is true; `wanted` describes the condition.
    pub(super) fn number(&self, key: &str, fits: impl Fn(f32) -> bool, wanted: &str) -> Result<Option<f32>> {
        self.get(key, wanted, |value| number(value).filter(|&v| f32::is_finite(v) && fits(v)))
    }

    /// Like [`Self::number`], in double precision.
    pub(super) fn real(&self, key: &str, fits: impl Fn(f64) -> bool, wanted: &str) -> Result<Option<f64>> {
        self.get(key, wanted, |value| number(value).filter(|&v| f64::is_finite(v) && fits(v)))
    }

    /// Two numbers.
    pub(super) fn numbers(&self, key: &str, wanted: &str) -> Result<Option<[f32; 2]>> {
        self.get(key, wanted, |value| list(value, |item| number(item).filter(|v: &f32| v.is_finite())))
    }

    /// Exactly `count` numbers.
    pub(super) fn each(
        &self,
        key: &str,
        count: usize,
        fits: fn(f32) -> bool,
        wanted: &str,
    ) -> Result<Option<Vec<f32>>> {
        self.get(key, wanted, |value| {
            let items = value.as_array().filter(|items| items.iter().count() == count)?.iter();
            items.map(|item| number(item.get_ref()).filter(|&v: &f32| v.is_finite() && fits(v))).collect()
        })
    }

    /// A fixed-point format.
    pub(super) fn format(&self, key: &str) -> Result<Option<[usize; 2]>> {
        let bits = |value| list(value, |item| in_range(item, &(0..=u64::from(u8::MAX))));
        self.get(key, FORMAT_WANTED, |value| bits(value).filter(|&format| format_fits(format)))
    }

    /// Any number of numbers, if the key holds a list; `Some(None)` if an item is not a number.
    pub(super) fn some_numbers(&self, key: &str) -> Option<Option<Vec<f32>>> {
        let items = self.find(key)?.get_ref().as_array()?;
        Some(items.iter().map(|item| number(item.get_ref()).filter(|v: &f32| v.is_finite())).collect())
    }

    /// One of several words; each stands for a value.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(found) = self.string(key)? else { return Ok(None) };
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        match words.iter().find(|(word, _)| *word == found) {
            Some((_, value)) => Ok(Some(*value)),
            None => Err(self.bad(key, &format!("unknown; {}", suggest(found, &names)))),
        }
    }

    /// A table in this one, if given.
    pub(super) fn table(&self, key: &'static str, what: &str, known: &[&'static str]) -> Result<Option<Table<'a>>> {
        let Some(value) = self.find(key) else { return Ok(None) };
        let entries =
            value.get_ref().as_table().ok_or_else(|| self.bad(key, &format!("write it as a table: {what}")))?;
        Table::new(self.source, what.into(), value.span(), entries, known.to_vec()).map(Some)
    }

    /// A table in this one whose keys depend on its `kind`, and that kind. `common` are keys of
    /// every kind, `kinds` the kinds with their keys.
    pub(super) fn kinds(
        &self,
        key: &'static str,
        what: &str,
        common: &[&'static str],
        kinds: &[(&'static str, &[&'static str])],
    ) -> Result<Option<(Table<'a>, &'static str)>> {
        let Some(entries) = self.find(key).and_then(|value| value.get_ref().as_table()) else {
            // Not given, or not a table, which is an error.
            return Ok(self.table(key, what, &[])?.map(|table| (table, "")));
        };
        let given =
            entries.iter().find(|(key, _)| key.get_ref() == "kind").and_then(|(_, value)| value.get_ref().as_str());
        let (what, own) = match kinds.iter().find(|(kind, _)| given == Some(*kind)) {
            Some((kind, own)) => (format!("{what} ({kind})"), own.to_vec()),
            // The kind itself is wrong; that is reported unless a key is wrong in every kind.
            None => (what.to_string(), kinds.iter().flat_map(|(_, own)| own.iter().copied()).collect()),
        };
        let known = [&["kind"], common, &own].concat();
        let Some(table) = self.table(key, &what, &known)? else { return Ok(None) };
        let words: Vec<_> = kinds.iter().map(|&(kind, _)| (kind, kind)).collect();
        let names: Vec<_> = kinds.iter().map(|(kind, _)| *kind).collect();
        let kind = table.required("kind", table.word("kind", &words)?, &format!("one of {}", names.join(", ")))?;
        Ok(Some((table, kind)))
    }

    /// Tables in a list, which may be missing; `what` is the heading of each.
    pub(super) fn list(&self, key: &'static str, what: &str, known: &[&'static str]) -> Result<Vec<Table<'a>>> {
        let tables = self.tables_of(key, what)?.into_iter();
        tables.map(|(span, entries)| Table::new(self.source, what.into(), span, entries, known.to_vec())).collect()
    }

    /// A list of tables, each with its position in the file.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<(Range<usize>, &'a DeTable<'a>)>> {
        self.tables_of(key, &format!("[[model.{key}]]"))
    }

    fn tables_of(&self, key: &str, what: &str) -> Result<Vec<(Range<usize>, &'a DeTable<'a>)>> {
        let wanted = format!("write each as a table: {what}");
        let items = self.get(key, &wanted, |value| {
            let items = value.as_array()?.iter();
            items.map(|item| Some((item.span(), item.get_ref().as_table()?))).collect::<Option<Vec<_>>>()
        })?;
        Ok(items.unwrap_or_default())
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let digits = value.as_integer()?;
    u64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

fn in_range(value: &DeValue<'_>, range: &RangeInclusive<u64>) -> Option<usize> {
    integer(value).filter(|number| range.contains(number)).and_then(|number| number.try_into().ok())
}

fn number<T: std::str::FromStr>(value: &DeValue<'_>) -> Option<T> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(whole) => {
            i64::from_str_radix(whole.as_str(), whole.radix()).ok().and_then(|v| v.to_string().parse().ok())
        }
        _ => None,
    }
}

fn list<'a, T, const N: usize>(value: &'a DeValue<'a>, read: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Option<[T; N]> {
    let items: Option<Vec<T>> = value.as_array()?.iter().map(|item| read(item.get_ref())).collect();
    items?.try_into().ok()
}

fn integers(range: &RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (low, &u64::MAX) => format!("a whole number of at least {low}"),
        (low, high) => format!("a whole number from {low} to {high}"),
    }
}

/// The word of `known` that was probably meant, or all of them.
pub(super) fn suggest(found: &str, known: &[&str]) -> String {
    match nearest(found, known) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

/// The word of `known` that was probably meant, if one is similar.
pub fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let (changes, word) = known.iter().map(|word| (distance(found, word), *word)).min()?;
    (changes <= 1 + found.len().min(word.len()) / 4).then_some(word)
}

/// Edit distance: number of characters to insert, delete or replace to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("filtres", "filters", 2)] {
            assert_eq!(distance(a, b), edits);
            assert_eq!(distance(b, a), edits);
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(suggest("filtres", &["kernel", "filters"]), "did you mean \"filters\"?");
        assert_eq!(suggest("dilation", &["kernel", "filters"]), "expected one of kernel, filters");
    }
}
