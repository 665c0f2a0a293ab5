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
//! All of this is done on TOML, before anything is read: the parser sees a single document.
//!
//! Options (`--set`) change a recipe in the same way, but among each other their order has no
//! meaning, except that the last one of the same key counts: kind and keys of a table or layer may be
//! given in any order.
//!
//! **Invariant:** the document has neither `extends` nor `model.change`.

use super::Result;
use super::table::Span;
use super::texts::Texts;
use super::words::meant;
use crate::model::INPUT;
use crate::pass::matches_glob;
use std::borrow::Cow;
use std::sync::LazyLock;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A layer as written, with its position.
type Written<'a> = (Span, DeTable<'a>);

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

impl Texts {
    /// All texts as one document.
    pub(super) fn merged(&self) -> Result<Spanned<DeTable<'_>>> {
        let (options, files) = self.blanked.split_at(self.options);
        let mut merged: Option<DeTable<'_>> = None;
        for text in files.iter().rev() {
            let mut own = self.parse(text)?.into_inner();
            let changes = take_changes(&mut own);
            merged = Some(match (merged, changes) {
                (None, None) => own,
                (None, Some(changes)) => {
                    let advice =
                        "[[model.change]]: there is nothing to change; start with extends = \"a recipe's name\"";
                    return Err(self.error(&changes.span(), advice.into()));
                }
                (Some(mut table), changes) => {
                    own.remove("extends");
                    overlay(&mut table, &own);
                    if let Some(changes) = changes {
                        self.change(&mut table, self.items(&changes)?)?;
                    }
                    table
                }
            });
        }
        let mut merged = merged.expect("the recipe itself is there");
        let (own, changes) = self.of_options(options)?;
        overlay(&mut merged, &own);
        self.change(&mut merged, &changes)?;
        Ok(Spanned::new(self.own(), merged))
    }

    /// What all options say: keys, and changes of layers.
    fn of_options<'a>(&'a self, texts: &'a [String]) -> Result<(DeTable<'a>, Vec<Spanned<DeValue<'a>>>)> {
        let (mut all, mut changes) = (DeTable::new(), Vec::<Spanned<DeValue<'_>>>::new());
        for text in texts {
            let mut own = self.parse(text)?.into_inner();
            if let Some(own) = take_changes(&mut own) {
                for change in self.items(&own)? {
                    // Keys for the same layers are one change.
                    let same = |known: &&mut Spanned<DeValue<'_>>| {
                        matched(known).is_some() && matched(known) == matched(change)
                    };
                    match (changes.iter_mut().find(same).map(Spanned::get_mut), change.get_ref().as_table()) {
                        (Some(DeValue::Table(known)), Some(keys)) => overlay(known, keys),
                        _ => changes.push(change.clone()),
                    }
                }
            }
            overlay(&mut all, &own);
        }
        Ok((all, changes))
    }

    /// The changes in `model.change`.
    fn items<'v, 'a>(&self, changes: &'v Spanned<DeValue<'a>>) -> Result<&'v [Spanned<DeValue<'a>>]> {
        let items = changes.get_ref().as_array().filter(|items| items.iter().all(|item| item.get_ref().is_table()));
        let wrong = || self.error(&changes.span(), "change: write each as a table: [[model.change]]".into());
        items.map(|items| &items[..]).ok_or_else(wrong)
    }

    /// Applies `[[model.change]]` to the layers.
    fn change<'a>(&self, document: &mut DeTable<'a>, changes: &[Spanned<DeValue<'a>>]) -> Result<()> {
        let model = document.get_mut("model").map(Spanned::get_mut);
        let Some(DeValue::Table(model)) = model else { return Ok(()) };
        let layers = model.get_mut("layers").map(Spanned::get_mut);
        let Some(DeValue::Array(layers)) = layers else { return Ok(()) };
        if !layers.iter().all(|layer| layer.get_ref().is_table()) {
            return Ok(()); // Reported when the layers are read.
        }
        let old = std::mem::replace(layers, std::iter::empty().collect());
        let mut written: Vec<Written<'_>> = old.into_iter().filter_map(table).collect();
        for (change, keys) in changes.iter().filter_map(|change| Some((change, change.get_ref().as_table()?))) {
            self.change_layers(&mut written, change.span(), keys)?;
        }
        *layers = written.into_iter().map(|(span, layer)| Spanned::new(span, DeValue::Table(layer))).collect();
        Ok(())
    }

    fn change_layers<'a>(&self, layers: &mut Vec<Written<'a>>, span: Span, keys: &DeTable<'a>) -> Result<()> {
        let in_option = self.source().in_option(&span);
        let heading = if in_option { "" } else { "[[model.change]]: " };
        let wrong = |at: &Span, why: &str| self.error(at, format!("{heading}{why}"));
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
            let near = pattern.get_ref().as_str().and_then(|given| meant(given, &names));
            let advice =
                near.map_or(format!("there are {}", some_of(&names)), |name| format!("did you mean \"{name}\"?"));
            let what = if in_option { "no layer has that name" } else { "match: no layer matches" };
            return Err(wrong(&pattern.span(), &format!("{what}; {advice}")));
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

/// The most names in a message.
const MOST_NAMES: usize = 16;

/// Names, separated by commas; of many only the first ones.
fn some_of(names: &[&str]) -> String {
    let shown = names[..names.len().min(MOST_NAMES)].join(", ");
    if names.len() > MOST_NAMES { format!("{shown} and {} more", names.len() - MOST_NAMES) } else { shown }
}

/// The name that a change matches, if it is a text.
fn matched<'v>(change: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    text(change.get_ref().as_table()?, "match")
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

/// Whether `own` has a different kind than `base`. Options may give the keys of a table before its
/// kind.
fn changes_kind(base: &DeTable<'_>, own: &DeTable<'_>) -> bool {
    let has = |table: &DeTable<'_>, key: &str| table.contains_key(key);
    SPECIAL.kinds.iter().any(|key| has(base, key) && has(own, key) && text(own, key) != text(base, key))
}

/// Replaces the layer's keys by these.
fn rewrite<'a>((place, layer): &mut Written<'a>, span: &Span, keys: &DeTable<'a>) {
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
