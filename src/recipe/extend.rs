//! `extends = "vgg-small"`: recipes based on another one.
//!
//! - Tables are merged key by key; every other value, including lists, replaces that of the same
//!   key. A table with a different `kind` (or `set`) replaces the other completely, since the
//!   other's keys would mean something else.
//! - `[[model.change]]` changes layers, one table after the other: every layer that `match` fits (a
//!   name, in which `*` stands for anything, several of these, or a table of keys with the texts
//!   that the layer must have, such as `{ weights = "binary" }`) gets the table's other keys. With
//!   a different `kind` it keeps only its name and its `from`. `remove = true` removes it: layers
//!   that used its output use its input.
//! - A key made meaningless by a change (`bits` beside a list of levels) is dropped.
//!
//! All of this is done on TOML, before anything is read: the parser sees a single document. The
//! texts are concatenated, and each is parsed with everything before it blanked out, so that an
//! offset in the document is valid in all of them, and every error reports the correct file and
//! line.
//!
//! **Invariant:** the document has neither `extends` nor `model.change`.

use super::table::{RecipeText, suggest};
use super::{BUILTIN, Result};
use crate::error::Error;
use crate::model::INPUT;
use crate::pass::matches_glob;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A layer as written, with its position.
type Written<'a> = (Range<usize>, DeTable<'a>);

/// The tables of recipes that are merged in a special way.
struct Special {
    /// Pairs of keys of which only one may be given: the last one counts.
    rivals: Vec<[&'static str; 2]>,
    /// Keys that determine the meaning of the others in their table.
    kinds: Vec<&'static str>,
}

static SPECIAL: LazyLock<Special> = LazyLock::new(|| {
    let recipe = super::schema();
    let keys = recipe.keys();
    let rivals = keys.iter().filter_map(|key| Some([key.rival?.name, key.name])).collect();
    Special { rivals, kinds: recipe.kinds() }
});

/// A recipe, the one that it extends, and so on.
pub(super) struct Texts {
    text: String,
    files: Vec<(String, usize)>,
    blanked: Vec<String>,
}

impl Texts {
    /// Resolves `extends` with `find`, which returns the text for a name.
    pub(super) fn read(text: &str, file: &str, find: impl Fn(&str) -> Option<&'static str>) -> Result<Self> {
        let mut texts = Self { text: text.into(), files: vec![(file.into(), 0)], blanked: vec![text.into()] };
        while let Some((line, name)) = texts.extended()? {
            let source = texts.source();
            let wrong = |why: String| source.error(line, format!("extends = \"{name}\": {why}"));
            if texts.files[1..].iter().any(|(known, _)| *known == name) {
                return Err(wrong("the recipe would extend itself; name another one".into()));
            }
            let base = find(&name).ok_or_else(|| {
                let names = BUILTIN.map(|(name, _)| name);
                wrong(format!("there is no built-in recipe of that name; {}", suggest(&name, &names)))
            })?;
            texts.push(name, base);
        }
        Ok(texts)
    }

    fn push(&mut self, name: String, base: &str) {
        self.text.push('\n');
        self.files.push((name, self.text.matches('\n').count()));
        let blank = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
        let blanks: String = self.text.bytes().map(blank).collect();
        self.blanked.push(blanks + base);
        self.text += base;
    }

    pub(super) fn source(&self) -> RecipeText<'_> {
        RecipeText { text: &self.text, files: &self.files }
    }

    /// The name that the last text extends, with its line.
    fn extended(&self) -> Result<Option<(usize, String)>> {
        let text = self.blanked.last().expect("the recipe itself is there");
        let document = self.parse(text)?;
        let Some(name) = document.get_ref().get("extends") else { return Ok(None) };
        let line = self.source().line(name.span().start);
        match name.get_ref().as_str() {
            Some(name) => Ok(Some((line, name.into()))),
            None => Err(self.source().error(line, "extends: give the name of a built-in recipe in quotes".into())),
        }
    }

    fn parse<'a>(&'a self, text: &'a str) -> Result<Spanned<DeTable<'a>>> {
        DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| self.source().line(span.start));
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            self.source().error(line, format!("not valid TOML: {message}"))
        })
    }

    /// All texts as one document.
    pub(super) fn merged(&self) -> Result<Spanned<DeTable<'_>>> {
        let mut merged: Option<Spanned<DeTable<'_>>> = None;
        for text in self.blanked.iter().rev() {
            let mut own = self.parse(text)?;
            let changes = take_changes(own.get_mut());
            merged = Some(match (merged, changes) {
                (None, None) => own,
                (None, Some(changes)) => {
                    let advice =
                        "[[model.change]]: there is nothing to change; start with extends = \"a recipe's name\"";
                    return Err(self.error(&changes.span(), advice.into()));
                }
                (Some(base), changes) => {
                    own.get_mut().remove("extends");
                    let mut table = base.into_inner();
                    overlay(&mut table, own.get_ref());
                    if let Some(changes) = changes {
                        self.change(&mut table, &changes)?;
                    }
                    Spanned::new(own.span(), table)
                }
            });
        }
        Ok(merged.expect("the recipe itself is there"))
    }

    fn error(&self, span: &Range<usize>, message: String) -> Error {
        let source = self.source();
        source.error(source.line(span.start), message)
    }

    /// Applies `[[model.change]]` to the layers.
    fn change<'a>(&self, document: &mut DeTable<'a>, changes: &Spanned<DeValue<'a>>) -> Result<()> {
        let wrong = || self.error(&changes.span(), "change: write each as a table: [[model.change]]".into());
        let model = document.get_mut("model").map(Spanned::get_mut);
        let Some(DeValue::Table(model)) = model else { return Ok(()) };
        let layers = model.get_mut("layers").map(Spanned::get_mut);
        let Some(DeValue::Array(layers)) = layers else { return Ok(()) };
        if !layers.iter().all(|layer| layer.get_ref().is_table()) {
            return Ok(()); // Reported when the layers are read.
        }
        let old = std::mem::replace(layers, std::iter::empty().collect());
        let mut written: Vec<Written<'_>> = old.into_iter().filter_map(table).collect();
        for change in changes.get_ref().as_array().ok_or_else(wrong)? {
            let keys = change.get_ref().as_table().ok_or_else(wrong)?;
            self.change_layers(&mut written, change.span(), keys)?;
        }
        *layers = written.into_iter().map(|(span, layer)| Spanned::new(span, DeValue::Table(layer))).collect();
        Ok(())
    }

    fn change_layers<'a>(&self, layers: &mut Vec<Written<'a>>, span: Range<usize>, keys: &DeTable<'a>) -> Result<()> {
        let wrong = |at: &Range<usize>, why: &str| self.error(at, format!("[[model.change]]: {why}"));
        let pattern =
            keys.get("match").ok_or_else(|| wrong(&span, "match is missing; add match = \"a layer's name\""))?;
        let patterns = patterns(pattern.get_ref()).ok_or_else(|| {
            wrong(
                &pattern.span(),
                "match: give a name in quotes, a list of names, or a table such as { kind = \"relu\" }",
            )
        })?;
        let matched = |layer: &DeTable<'_>| {
            patterns
                .iter()
                .any(|all| all.iter().all(|(key, glob)| text(layer, key).is_some_and(|text| matches_glob(glob, text))))
        };
        let positions: Vec<usize> = (0..layers.len()).filter(|&at| matched(&layers[at].1)).collect();
        if positions.is_empty() {
            let names: Vec<_> = layers.iter().filter_map(|(_, layer)| text(layer, "name")).collect();
            let why = format!("match: no layer matches; there are {}", names.join(", "));
            return Err(wrong(&pattern.span(), &why));
        }
        if let Some(name) = keys.get("name") {
            return Err(wrong(&name.span(), "name: a layer keeps its name; remove it"));
        }
        let mut keys = keys.clone();
        keys.remove("match");
        match keys.remove("remove") {
            None => positions.into_iter().for_each(|at| rewrite(&mut layers[at], &span, &keys)),
            Some(remove) if remove.get_ref().as_bool() != Some(true) => {
                return Err(wrong(&remove.span(), "remove: write true, or remove it"));
            }
            Some(_) if !keys.is_empty() => {
                return Err(wrong(&span, "a removed layer has no other keys; remove them"));
            }
            Some(_) => {
                for at in positions.into_iter().rev() {
                    remove(layers, at).map_err(|why| wrong(&span, &why))?;
                }
            }
        }
        Ok(())
    }
}

fn take_changes<'a>(document: &mut DeTable<'a>) -> Option<Spanned<DeValue<'a>>> {
    match document.get_mut("model")?.get_mut() {
        DeValue::Table(model) => model.remove("change"),
        _ => None,
    }
}

fn table(item: Spanned<DeValue<'_>>) -> Option<Written<'_>> {
    match (item.span(), item.into_inner()) {
        (span, DeValue::Table(table)) => Some((span, table)),
        _ => None,
    }
}

fn text<'t>(table: &'t DeTable<'_>, key: &str) -> Option<&'t str> {
    table.get(key)?.get_ref().as_str()
}

/// Overlays the keys of `own` on those of `base`.
fn overlay<'a>(base: &mut DeTable<'a>, own: &DeTable<'a>) {
    for &[a, b] in &SPECIAL.rivals {
        for (given, other) in [(a, b), (b, a)] {
            if own.contains_key(given) {
                base.remove(other);
            }
        }
    }
    for (key, value) in own {
        let merged = match (base.remove(key.get_ref().as_ref()).map(Spanned::into_inner), value.get_ref()) {
            (Some(DeValue::Table(mut base)), DeValue::Table(own)) if !changes_kind(&base, own) => {
                overlay(&mut base, own);
                Spanned::new(value.span(), DeValue::Table(base))
            }
            _ => value.clone(),
        };
        base.insert(key.clone(), merged);
    }
}

/// Whether `own` has a different kind than `base`.
fn changes_kind(base: &DeTable<'_>, own: &DeTable<'_>) -> bool {
    SPECIAL.kinds.iter().any(|key| own.contains_key(*key) && text(own, key) != text(base, key))
}

/// Replaces the layer's keys by these.
fn rewrite<'a>((place, layer): &mut Written<'a>, span: &Range<usize>, keys: &DeTable<'a>) {
    if changes_kind(layer, keys) {
        *layer = ["name", "from"].into_iter().filter_map(|key| layer.remove_entry(key)).collect();
        *place = span.clone();
    }
    overlay(layer, keys);
}

/// The patterns of a `match`, of which a layer must fit one: each is a set of keys with patterns
/// for their texts.
fn patterns(value: &DeValue<'_>) -> Option<Vec<Vec<(String, String)>>> {
    match value {
        DeValue::String(name) => Some(vec![vec![("name".into(), name.to_string())]]),
        DeValue::Table(keys) => {
            let pair = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                Some((key.get_ref().to_string(), value.get_ref().as_str()?.to_string()))
            };
            Some(vec![keys.iter().map(pair).collect::<Option<_>>()?])
        }
        DeValue::Array(several) => {
            let several: Option<Vec<_>> = several.iter().map(|item| patterns(item.get_ref())).collect();
            Some(several?.concat())
        }
        _ => None,
    }
}

/// Removes a layer; the others use its input instead.
fn remove(layers: &mut Vec<Written<'_>>, at: usize) -> std::result::Result<(), String> {
    let (span, layer) = layers.remove(at);
    let name = text(&layer, "name").unwrap_or_default().to_string();
    let source = match layer.get("from").map(Spanned::get_ref) {
        None if at == 0 => INPUT.to_string(),
        None => text(&layers[at - 1].1, "name").unwrap_or_default().to_string(),
        Some(DeValue::String(source)) => source.to_string(),
        Some(_) => return Err(format!("layer \"{name}\" takes several inputs, so it cannot be removed")),
    };
    let source = || Spanned::new(span.clone(), DeValue::String(Cow::Owned(source.clone())));
    if let Some((_, next)) = layers.get_mut(at).filter(|(_, next)| !next.contains_key("from")) {
        next.insert(Spanned::new(span.clone(), Cow::Borrowed("from")), source());
    }
    let is_gone = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str() == Some(&name);
    for (_, layer) in &mut layers[at..] {
        match layer.get_mut("from") {
            Some(from) if is_gone(from) => *from = source(),
            Some(from) => {
                if let DeValue::Array(several) = from.get_mut() {
                    several.iter_mut().filter(|from| is_gone(from)).for_each(|from| *from = source());
                }
            }
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> Option<&'static str> {
        match name {
            "self" => Some("extends = \"self\"\n"),
            "a" => Some("# a\nextends = \"b\"\n[x]\nkind = \"p\"\none = 1\n"),
            "b" => Some("[x]\nkind = \"q\"\ntwo = 2\n[y]\nsteps = 3\nlist = [1, 2]\nkept = 'é'\n"),
            "broken" => Some("x = 1\ny = = 2\n"),
            _ => None,
        }
    }

    fn fault(text: &str) -> String {
        match Texts::read(text, "own.toml", find).and_then(|texts| texts.merged().map(|_| ())) {
            Err(error) => error.to_string(),
            Ok(()) => panic!("{text} should be wrong"),
        }
    }

    #[test]
    fn tables_merge_and_another_kind_replaces() {
        let own = "extends = \"a\"\ny.epochs = 4\ny.list = [3]\n";
        let texts = Texts::read(own, "own.toml", find).unwrap();
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
        // An offset in the document is valid in all texts, and gives the right file.
        let kept = document.get_ref()["y"].get_ref()["kept"].span();
        assert_eq!(texts.source().text.get(kept.clone()), Some("'é'"));
        assert!(matches!(texts.error(&kept, String::new()), Error::Recipe { file, line: 7, .. } if file == "b"));
    }

    #[test]
    fn what_cannot_be_extended_is_named_with_file_and_line() {
        for (text, parts) in [
            ("\nextends = \"self\"", ["self:1", "would extend itself"]),
            ("# …\n\nextends = \"vgg-smal\"", ["own.toml:3", "did you mean \"vgg-small\"?"]),
            ("extends = 3", ["own.toml:1", "in quotes"]),
            ("extends = \"broken\"", ["broken:2", "not valid TOML"]),
            ("\n[[model.change]]\nmatch = \"a\"", ["own.toml:2", "nothing to change"]),
        ] {
            let message = fault(text);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }
}
