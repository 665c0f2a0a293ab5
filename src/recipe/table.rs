//! The text of a recipe and the tables in it, for errors with file, line, table and value.
use super::words::{expected, suggest};
use crate::text::excerpt;
use crate::{Error, Result};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A position in the concatenated texts.
pub(super) type Span = Range<usize>;

/// One of the concatenated texts.
#[derive(Clone)]
pub(super) struct Part {
    /// The file, the built-in recipe, or the option.
    pub(super) name: String,
    /// Where it starts.
    pub(super) start: usize,
}

/// The concatenated texts of a recipe, used to convert a position in them to an error.
#[derive(Clone, Copy)]
pub(super) struct RecipeText<'a> {
    pub(super) text: &'a str,
    /// The options that change the recipe, then its own file, then the recipes that it extends.
    pub(super) parts: &'a [Part],
    /// The number of options.
    pub(super) options: usize,
}

impl RecipeText<'_> {
    /// The text that contains a position: 0 is the first option, or the recipe's own file.
    pub(super) fn part(&self, at: usize) -> usize {
        self.parts.partition_point(|part| part.start <= at).saturating_sub(1)
    }

    /// The positions of a text.
    pub(super) fn range(&self, part: usize) -> Span {
        self.parts[part].start..self.parts.get(part + 1).map_or(self.text.len(), |next| next.start)
    }

    /// Whether a position is in one of the texts that nothing changes: in the options, or without
    /// any, in the recipe's own file.
    pub(super) fn is_last_word(&self, at: usize) -> bool {
        self.part(at) < self.options.max(1)
    }

    /// Whether one position is in a text that changes that of another position.
    pub(super) fn is_before(&self, one: &Span, other: &Span) -> bool {
        self.part(one.start) < self.part(other.start)
    }

    /// Whether a position is in an option.
    pub(super) fn in_option(&self, at: &Span) -> bool {
        self.part(at.start) < self.options
    }

    /// How to change a layer's key in the text of a position.
    pub(super) fn change_words(&self, at: &Span, layer: &str, key: &str, value: &str) -> String {
        match self.in_option(at) {
            true => format!("add --set layers.{layer}.{key}={value}"),
            false => format!("add [[model.change]] with match = \"{layer}\" and {key} = {value}"),
        }
    }

    /// How to write a string in the place of the value at a position. A shell removes quotes, so an
    /// option needs two kinds of them.
    pub(super) fn string_words(&self, at: &Span) -> String {
        let option = self.parts[self.part(at.start)].name.split_once(' ').filter(|_| self.in_option(at));
        match option.and_then(|(option, assignment)| Some((option, assignment.split_once('=')?))) {
            Some((option, (key, value))) if !value.contains(['"', '\'']) => {
                format!("a string needs quotes that the shell keeps: {option} '{}=\"{}\"'", key.trim(), value.trim())
            }
            _ => "give a string in quotes".to_string(),
        }
    }

    /// The line, from 1, within the text that contains the position.
    pub(super) fn line(&self, at: usize) -> usize {
        let start = self.parts[self.part(at)].start;
        let before = &self.text.as_bytes()[start..at.clamp(start, self.text.len())];
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// The line in the recipe's own file; 0 in an option, and in a recipe that this one extends.
    pub(super) fn own_line(&self, at: usize) -> usize {
        if self.part(at) == self.options { self.line(at) } else { 0 }
    }

    pub(super) fn error(&self, span: &Span, message: String) -> Error {
        let part = self.part(span.start);
        let (file, range) = (self.parts[part].name.clone(), self.range(part));
        // An option is a single line, which is its name.
        if part < self.options {
            return Error::Recipe { file, line: 0, message, excerpt: String::new() };
        }
        let within = span.start - range.start..span.end.saturating_sub(range.start);
        let excerpt = excerpt(&self.text[range], &within);
        Error::Recipe { file, line: self.line(span.start), message, excerpt }
    }
}

/// A table of the recipe: its name in messages, and its position.
#[derive(Clone)]
pub(super) struct Table<'a> {
    pub(super) text: RecipeText<'a>,
    pub(super) what: String,
    pub(super) span: Span,
    pub(super) entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn new(text: RecipeText<'a>, what: String, span: Span, entries: &'a DeTable<'a>) -> Self {
        Self { text, what, span, entries }
    }

    /// An error in this table.
    pub(super) fn error(&self, span: &Span, message: &str) -> Error {
        self.text.error(span, format!("{}: {message}", self.what))
    }

    /// The first key that is none of `known`, with its position. With `last_word`, keys are ignored
    /// that may have lost their meaning by a change: those of an extended recipe.
    pub(super) fn unexpected_key(&self, known: &[&str], last_word: bool) -> Option<(&'a str, Span)> {
        let unknown = self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let located = unknown.map(|key| (key.get_ref().as_ref(), key.span()));
        let counted = located.filter(|(_, span)| !last_word || self.text.is_last_word(span.start));
        counted.min_by_key(|(_, span)| span.start)
    }

    /// The position of a key's value, or of the table if the key is not given.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.find(key).map_or(self.span.clone(), Spanned::span)
    }

    /// The position of the first value that another text has changed; without any, `place`.
    pub(super) fn changed(&self, place: Span) -> Span {
        let values = self.entries.values().map(Spanned::span).filter(|value| self.text.is_before(value, &place));
        values.min_by_key(|value| value.start).unwrap_or(place)
    }

    pub(super) fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// The text of a key, if it has one.
    pub(super) fn text_of(&self, key: &str) -> Option<&'a str> {
        self.find(key)?.get_ref().as_str()
    }

    /// The value of a key, as it is written.
    pub(super) fn written_of(&self, key: &str) -> &'a str {
        self.find(key).and_then(|value| self.text.text.get(value.span())).unwrap_or_default()
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
        self.error(&self.span_of(key), &format!("{key}{written}: {advice}"))
    }

    /// The error that `key` is missing; `example` shows what to write.
    pub(super) fn missing(&self, key: &str, example: &str) -> Error {
        self.error(&self.span, &format!("{key} is missing; add {key} = {example}"))
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
        let advice = || {
            let quotes = if self.text.in_option(&self.span_of(key)) { "" } else { ", in quotes" };
            expected(words) + quotes
        };
        let Some(found) = self.get(key, advice, DeValue::as_str)? else { return Ok(None) };
        match words.iter().position(|word| *word == found) {
            Some(at) => Ok(Some(at)),
            None => Err(self.value_error(key, &format!("unknown; {}", suggest(found, words)))),
        }
    }
}
