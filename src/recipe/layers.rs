//! `[[model.layers]]`: reads a layer and its keys; see [`crate::model::keys`].
use super::table::{Source, Table};
use crate::model::keys::{self, Key, Keys, Purpose, Slot, Visitor};
use crate::model::{KINDS, Layer, Levels};
use crate::{Error, Result};
use std::ops::Range;
use std::path::PathBuf;
use toml::de::DeTable;

/// Keys of every layer.
const COMMON: [&str; 3] = ["name", "kind", "from"];

/// Maximum length of a list of levels: a code has 4 bits, and 0 is a level too.
const MOST_LEVELS: usize = 15;

/// Reads one layer; also returns the line of its `from`. `previous` is the name of the layer before
/// it, `index` its position.
pub(super) fn layer(
    source: Source<'_>,
    (span, entries): (Range<usize>, &DeTable<'_>),
    index: usize,
    previous: &str,
) -> Result<(Layer, usize)> {
    let text = |wanted: &str| entries.iter().find(|(key, _)| key.get_ref() == wanted)?.1.get_ref().as_str();
    let mut what = text("name").map_or_else(|| format!("layer {}", index + 1), |name| format!("layer \"{name}\""));
    let mut known = COMMON.to_vec();
    match KINDS.iter().find(|kind| text("kind") == Some(kind.name)) {
        Some(kind) => {
            what += &format!(" ({})", kind.name);
            known.extend(keys::names(kind.start.clone().keys()));
        }
        // The kind itself is wrong; that is reported unless a key is wrong in every kind of layer.
        None => {
            known.extend(KINDS.iter().flat_map(|kind| keys::names(kind.start.clone().keys())));
            known.sort_unstable();
            known.dedup();
        }
    }
    let table = Table::new(source, what, span, entries, known)?;

    let name = table.required("name", table.string("name")?, "\"a unique name\"")?.to_owned();
    let words: Vec<_> = KINDS.iter().map(|kind| (kind.name, kind)).collect();
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let kind = table.required("kind", table.word("kind", &words)?, &format!("one of {}", names.join(", ")))?;
    let from = table.strings("from")?.unwrap_or_else(|| vec![previous]).into_iter().map(String::from).collect();
    let mut kind = kind.start.clone();
    read(&table, kind.keys(), &COMMON, "layer")?;
    Ok((Layer { name, from, line: table.line, kind }, table.line_of("from")))
}

/// Reads the values that a table gives; `common` are keys that are read elsewhere, `what` names the
/// table in the error for a key that has no meaning.
pub(super) fn read(table: &Table<'_>, keys: &mut dyn Keys, common: &[&'static str], what: &str) -> Result<()> {
    let mut reader = Reader { table, meant: common.to_vec(), error: None };
    keys.keys(&mut reader);
    let Reader { meant, error, .. } = reader;
    match (error, table.stranger(&meant)) {
        (Some(error), _) => Err(error),
        (None, Some(key)) => Err(table.bad(key, &format!("it has no meaning with the {what}'s other keys; remove it"))),
        (None, None) => Ok(()),
    }
}

/// Sets values from a table; the first error is kept.
struct Reader<'t, 'a> {
    table: &'t Table<'a>,
    /// The keys that have a meaning given the others' values.
    meant: Vec<&'static str>,
    error: Option<Error>,
}

impl Visitor for Reader<'_, '_> {
    fn purpose(&self) -> Purpose {
        Purpose::Read
    }

    fn visit(&mut self, key: Key, slot: Slot<'_>) {
        self.meant.push(key.name);
        if self.error.is_none() {
            self.error = self.set(key, slot).err();
        }
    }
}

impl Reader<'_, '_> {
    fn set(&self, key: Key, slot: Slot<'_>) -> Result<()> {
        let (table, name) = (self.table, key.name);
        let given = match slot {
            Slot::Integer(value, range) => {
                let range = *range.start() as u64..=*range.end() as u64;
                put(value, table.integer(name, range)?.map(|given| given as usize))
            }
            Slot::Pair(value, range) => put(value, table.pair(name, *range.start() as u64..=*range.end() as u64)?),
            Slot::Number(value, numbers) => put(value, table.number(name, numbers.fits, numbers.wanted)?),
            Slot::Real(value, numbers) => put(value, table.real(name, numbers.fits, numbers.wanted)?),
            Slot::Flag(value) => put(value, table.flag(name)?),
            Slot::Path(path, wanted) => match table.string(name)? {
                Some("") => return Err(table.bad(name, wanted)),
                given => put(path, given.map(PathBuf::from)),
            },
            Slot::Word(value, words) => {
                let words: Vec<_> = words.iter().enumerate().map(|(at, word)| (*word, at)).collect();
                put(value, table.word(name, &words)?)
            }
            Slot::Levels(value) => put(value, levels(table, name)?),
            Slot::Format(value) => put(value, table.format(name)?),
            Slot::FormatOrFloat(value) => put(value, format_or_float(table, name)?),
        };
        match key.example {
            Some(example) if !given => table.required(name, None, example),
            _ => Ok(()),
        }
    }
}

/// Whether a value was given.
fn put<T>(value: &mut T, given: Option<T>) -> bool {
    let is_given = given.is_some();
    if let Some(given) = given {
        *value = given;
    }
    is_given
}

fn format_or_float(table: &Table<'_>, name: &str) -> Result<Option<Option<[usize; 2]>>> {
    if table.some_numbers(name).is_some() {
        return Ok(table.format(name)?.map(Some));
    }
    Ok(table.word(name, &[("float", ())])?.map(|()| None))
}

fn levels(table: &Table<'_>, name: &str) -> Result<Option<Levels>> {
    let wanted = "give \"uniform\", \"lloyd\", or an increasing list of 1 to 15 numbers above 0";
    if let Some(list) = table.some_numbers(name) {
        let list = list.ok_or_else(|| table.bad(name, wanted))?;
        let rising = list.windows(2).all(|pair| pair[0] < pair[1]);
        if list.is_empty() || list.len() > MOST_LEVELS || list[0] <= 0.0 || !rising {
            return Err(table.bad(name, wanted));
        }
        return Ok(Some(Levels::List(list)));
    }
    Ok(match table.word(name, &[("uniform", false), ("lloyd", true)])? {
        None => None,
        Some(false) => Some(Levels::Uniform),
        Some(true) => Some(Levels::Lloyd),
    })
}
