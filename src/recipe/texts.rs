//! The texts of a recipe: the options that change it, its file, and the recipes that it extends.
//!
//! The texts are concatenated, and each is parsed with everything before it blanked out, so that a
//! position in the document is valid in all of them, and every error reports the correct file and
//! line.

use super::table::{Part, RecipeText, Span};
use crate::Result;
use crate::error::Error;
use std::borrow::Cow;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    /// Its name in errors.
    pub(super) name: String,
    /// The same for every name of a file or built-in recipe; `None` for a text from elsewhere.
    pub(super) identity: Option<PathBuf>,
    /// The folder in which paths start; `None` if no files can be read.
    pub(super) folder: Option<PathBuf>,
}

/// Finds the recipe that another one extends, by its name there; or says why it cannot.
pub(super) type Find<'f> = &'f dyn Fn(&str, &Origin) -> Result<(Origin, Cow<'static, str>), String>;

/// All texts of a recipe.
pub(super) struct Texts {
    text: String,
    parts: Vec<Part>,
    /// The number of options, which come first.
    pub(super) options: usize,
    /// The texts, each behind as many blanks as there is text before it.
    pub(super) blanked: Vec<String>,
}

impl Texts {
    /// Reads a recipe and those that it extends; `options` are names and texts.
    pub(super) fn read(options: &[(String, String)], text: &str, origin: Origin, find: Find<'_>) -> Result<Self> {
        let mut texts = Self { text: String::new(), parts: Vec::new(), options: options.len(), blanked: Vec::new() };
        options.iter().for_each(|(name, text)| texts.push(name.clone(), text));
        texts.push(origin.name.clone(), text);
        let mut chain = vec![origin];
        while let Some((span, name)) = texts.extended()? {
            let wrong = |why: String| texts.error(&span, format!("extends = \"{name}\": {why}"));
            let (origin, base) = find(&name, &chain[chain.len() - 1]).map_err(wrong)?;
            let known = chain.iter().any(|known| origin.identity.is_some() && known.identity == origin.identity);
            texts.push(origin.name.clone(), &base);
            chain.push(origin);
            if known {
                let circle = texts.chain().join(" extends ");
                let why = format!("the recipe would extend itself: {circle}; name another one");
                return Err(texts.error(&span, format!("extends = \"{name}\": {why}")));
            }
        }
        Ok(texts)
    }

    fn push(&mut self, name: String, text: &str) {
        if !self.parts.is_empty() {
            self.text.push('\n');
        }
        self.parts.push(Part { name, start: self.text.len() });
        let blank = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
        let blanks: String = self.text.bytes().map(blank).collect();
        self.blanked.push(blanks + text);
        self.text += text;
    }

    pub(super) fn source(&self) -> RecipeText<'_> {
        RecipeText { text: &self.text, parts: &self.parts, options: self.options }
    }

    pub(super) fn error(&self, span: &Span, message: String) -> Error {
        self.source().error(span, message)
    }

    /// The positions of the recipe's own file.
    pub(super) fn own(&self) -> Span {
        self.source().range(self.options)
    }

    /// The names of the recipe and of those that it extends.
    pub(super) fn chain(&self) -> Vec<String> {
        self.parts[self.options..].iter().map(|part| part.name.clone()).collect()
    }

    /// The name that the last text extends, with its position.
    fn extended(&self) -> Result<Option<(Span, String)>> {
        let text = self.blanked.last().expect("the recipe itself is there");
        let document = self.parse(text)?;
        let Some(name) = document.get_ref().get("extends") else {
            let tables = document.get_ref().values().filter_map(|value| value.get_ref().as_table());
            let misplaced = tables.flat_map(|table| table.keys()).find(|key| key.get_ref() == "extends");
            let advice = "extends: it belongs at the top of the file, before the first table";
            return misplaced.map_or(Ok(None), |key| Err(self.error(&key.span(), advice.into())));
        };
        match name.get_ref().as_str() {
            Some(text) => Ok(Some((name.span(), text.into()))),
            None => {
                let advice = "extends: give the name of a built-in recipe, or the path of a file, in quotes";
                Err(self.error(&name.span(), advice.into()))
            }
        }
    }

    pub(super) fn parse<'a>(&'a self, text: &'a str) -> Result<Spanned<DeTable<'a>>> {
        DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(self.own());
            let written = text.get(span.clone()).unwrap_or_default();
            let message = match error.message().lines().collect::<Vec<_>>().join(", ") {
                // The parser's advice is about a string, whatever is there.
                message if message.starts_with("string values must be quoted") => match written.trim() {
                    "" => "the value is missing".to_string(),
                    word => format!("a string needs quotes: \"{word}\""),
                },
                message => message,
            };
            let first = if message == "duplicate key" { self.first_of(text, &span) } else { None };
            let message = match first {
                Some(first) => {
                    let line = self.source().line(first.start);
                    format!("duplicate key {written}: the first one is in line {line}; remove one of them")
                }
                None => message,
            };
            self.error(&span, format!("not valid TOML: {message}"))
        })
    }

    /// The position of the key that `duplicate` repeats.
    fn first_of(&self, text: &str, duplicate: &Span) -> Option<Span> {
        let name = text.get(duplicate.clone())?;
        // With another name the key stays in its table, beside the first one.
        let other = "_".repeat(name.len());
        let renamed = [text.get(..duplicate.start)?, &other, text.get(duplicate.end..)?].concat();
        let (document, _) = DeTable::parse_recoverable(&renamed);
        let name = name.trim_matches(['"', '\'']);
        beside(document.get_ref(), name, duplicate.start)
    }
}

/// The position of the key `name` in the table that has another key at `place`.
fn beside(table: &DeTable<'_>, name: &str, place: usize) -> Option<Span> {
    if table.keys().any(|key| key.span().start == place) {
        return table.keys().find(|key| key.get_ref() == name).map(Spanned::span);
    }
    let inner = |value: &DeValue<'_>| match value {
        DeValue::Table(table) => beside(table, name, place),
        DeValue::Array(items) => {
            items.iter().find_map(|item| item.get_ref().as_table().and_then(|table| beside(table, name, place)))
        }
        _ => None,
    };
    table.values().find_map(|value| inner(value.get_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str, _: &Origin) -> Result<(Origin, Cow<'static, str>), String> {
        let text = match name {
            "self" => "extends = \"self\"\n",
            "a" => "# a\nextends = \"b\"\n[x]\nkind = \"p\"\none = 1\n",
            "b" => "[x]\nkind = \"q\"\ntwo = 2\n[y]\nsteps = 3\nlist = [1, 2]\nkept = 'é'\n",
            "broken" => "x = 1\ny = = 2\n",
            _ => return Err("there is none".into()),
        };
        Ok((Origin { name: name.into(), identity: Some(name.into()), folder: None }, text.into()))
    }

    fn read(options: &[&str], text: &str) -> Result<Texts> {
        let options: Vec<_> = options.iter().map(|text| (format!("option {text}"), text.to_string())).collect();
        let origin = Origin { name: "own.toml".into(), identity: None, folder: None };
        Texts::read(&options, text, origin, &find)
    }

    fn fault(text: &str) -> String {
        match read(&[], text).and_then(|texts| texts.merged().map(|_| ())) {
            Err(error) => error.to_string(),
            Ok(()) => panic!("{text} should be wrong"),
        }
    }

    #[test]
    fn tables_merge_and_another_kind_replaces() {
        let texts = read(&[], "extends = \"a\"\ny.epochs = 4\ny.list = [3]\n").unwrap();
        let document = texts.merged().unwrap();
        let keys = |name: &str| {
            let table = document.get_ref().get(name).unwrap().get_ref().as_table().unwrap();
            table.keys().map(|key| key.get_ref().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(document.get_ref().keys().map(|key| key.get_ref().as_ref()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(
            (keys("x"), keys("y")),
            (vec!["kind".into(), "one".into()], ["epochs", "kept", "list"].map(String::from).into())
        );
        // A position in the document is valid in all texts, and gives the right file.
        let kept = document.get_ref()["y"].get_ref()["kept"].span();
        assert_eq!(texts.source().text.get(kept.clone()), Some("'é'"));
        assert!(matches!(texts.error(&kept, String::new()), Error::Recipe { file, line: 7, .. } if file == "b"));
        assert_eq!(texts.chain(), ["own.toml", "a", "b"]);
    }

    #[test]
    fn options_come_in_any_order_and_the_last_one_of_a_key_counts() {
        for options in
            [["x.kind = \"r\"", "x.three = 3", "y.steps = 1"], ["x.three = 3", "y.steps = 1", "x.kind = \"r\""]]
        {
            let texts = read(&[&options[..], &["y.steps = 2", "y.kept = \"é\""]].concat(), "extends = \"b\"").unwrap();
            let document = texts.merged().unwrap();
            let x = document.get_ref()["x"].get_ref().as_table().unwrap();
            assert_eq!(x.keys().map(|key| key.get_ref().as_ref()).collect::<Vec<_>>(), ["kind", "three"]);
            let y = &document.get_ref()["y"];
            assert_eq!(y.get_ref()["steps"].get_ref().as_integer().unwrap().as_str(), "2");
            let error = texts.error(&y.get_ref()["kept"].span(), "wrong".into());
            assert_eq!(error.to_string(), "option y.kept = \"é\": wrong");
            assert_eq!((texts.own().len(), texts.chain()), (14, vec!["own.toml".into(), "b".into()]));
        }
    }

    #[test]
    fn what_cannot_be_extended_is_named_with_file_and_line() {
        for (text, parts) in [
            ("\nextends = \"self\"", ["self:1", "would extend itself: own.toml extends self extends self;"]),
            (
                "# …\n\nextends = \"none\"",
                ["own.toml:3", "there is none\n  3 | extends = \"none\"\n    |           ^^^^^^"],
            ),
            ("extends = 3", ["own.toml:1", "in quotes"]),
            ("extends = \"broken\"", ["broken:2", "not valid TOML"]),
            ("\n[[model.change]]\nmatch = \"a\"", ["own.toml:2", "nothing to change"]),
        ] {
            let message = fault(text);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }

    #[test]
    fn a_duplicate_key_names_the_first_one() {
        for (text, line, first) in [
            ("[a]\nx = 1\ny = 2\nx = 3", 4, "duplicate key x: the first one is in line 2"),
            ("x = 0\n[a]\nx = 1\n[b]\ny = 0\n[a]", 6, "duplicate key a: the first one is in line 2"),
            ("[[l]]\nx = 1\n[[l]]\nx = 1\nz = 1\n\"x\" = 2", 6, "duplicate key \"x\": the first one is in line 4"),
            ("a.b = 1\na.b = 2", 2, "duplicate key b: the first one is in line 1"),
            ("t = { x = 1, x = 2 }", 1, "duplicate key x: the first one is in line 1"),
        ] {
            let message = fault(text);
            assert!(message.starts_with(&format!("own.toml:{line}: not valid TOML: {first}")), "{message}");
            let message = fault(&format!("extends = \"b\"\n{text}"));
            let (_, number) = first.rsplit_once(' ').unwrap();
            let next =
                first.replace(&format!("line {number}"), &format!("line {}", number.parse::<usize>().unwrap() + 1));
            assert!(message.starts_with(&format!("own.toml:{}: not valid TOML: {next}", line + 1)), "{message}");
        }
    }
}
