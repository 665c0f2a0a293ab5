//! The text of a recipe and the tables in it, for errors with file, line, table and value.
use crate::{Error, Result};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The concatenated texts of a recipe, used to convert an offset in them to an error. Offsets and
/// lines count through all of them.
#[derive(Clone, Copy)]
pub(super) struct RecipeText<'a> {
    pub(super) text: &'a str,
    /// Every file with the number of lines before it; the recipe's own file comes first.
    pub(super) files: &'a [(String, usize)],
}

impl RecipeText<'_> {
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

/// A table of the recipe: its name in messages, and its first line.
#[derive(Clone)]
pub(super) struct Table<'a> {
    pub(super) text: RecipeText<'a>,
    pub(super) what: String,
    pub(super) line: usize,
    pub(super) entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn new(text: RecipeText<'a>, what: String, span: Range<usize>, entries: &'a DeTable<'a>) -> Self {
        Self { text, what, line: text.line(span.start), entries }
    }

    /// An error in this table.
    pub(super) fn error(&self, line: usize, message: &str) -> Error {
        self.text.error(line, format!("{}: {message}", self.what))
    }

    /// The first key that is none of `known`, with its line. With `own`, keys of an extended recipe
    /// are ignored: they may have lost their meaning by a change.
    pub(super) fn unexpected_key(&self, known: &[&str], own: bool) -> Option<(&'a str, usize)> {
        let unknown = self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let located = unknown.map(|key| (key.get_ref().as_ref(), key.span().start, self.text.line(key.span().start)));
        let counted = located.filter(|(_, _, line)| !own || self.text.own(*line).is_some());
        counted.min_by_key(|(_, start, _)| *start).map(|(name, _, line)| (name, line))
    }

    /// The line of a key, or of the table if the key is not given.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.find(key).map_or(self.line, |value| self.text.line(value.span().start))
    }

    pub(super) fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// The text of a key, if it has one.
    pub(super) fn text_of(&self, key: &str) -> Option<&'a str> {
        self.find(key)?.get_ref().as_str()
    }

    /// The value as written, cut to one short line.
    fn written(&self, value: &Spanned<DeValue<'_>>) -> String {
        let text = self.text.text.get(value.span()).unwrap_or_default();
        let short: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
        if short.len() < text.len() { short + " …" } else { short }
    }

    /// An error about the value of `key`.
    pub(super) fn value_error(&self, key: &str, advice: &str) -> Error {
        let written = self.find(key).map(|value| format!(" = {}", self.written(value))).unwrap_or_default();
        self.error(self.line_of(key), &format!("{key}{written}: {advice}"))
    }

    /// The error that `key` is missing; `example` shows what to write.
    pub(super) fn missing(&self, key: &str, example: &str) -> Error {
        self.error(self.line, &format!("{key} is missing; add {key} = {example}"))
    }

    /// The value of a key, if it is given and `read` accepts it.
    pub(super) fn get<T>(
        &self,
        key: &str,
        advice: impl FnOnce() -> String,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.find(key) else { return Ok(None) };
        read(value.get_ref()).map(Some).ok_or_else(|| self.value_error(key, &advice()))
    }

    /// The position of the word that a key has.
    pub(super) fn word(&self, key: &str, words: &[&str]) -> Result<Option<usize>> {
        let Some(found) = self.get(key, || "give a string in quotes".into(), DeValue::as_str)? else { return Ok(None) };
        match words.iter().position(|word| *word == found) {
            Some(at) => Ok(Some(at)),
            None => Err(self.value_error(key, &format!("unknown; {}", suggest(found, words)))),
        }
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
    let (changes, word) = known.iter().map(|word| (strsim::levenshtein(found, word), *word)).min()?;
    (changes <= 1 + found.len().min(word.len()) / 4).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(suggest("filtres", &["kernel", "filters"]), "did you mean \"filters\"?");
        assert_eq!(suggest("dilation", &["kernel", "filters"]), "expected one of kernel, filters");
    }
}
