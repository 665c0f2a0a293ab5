//! Reads tables of a recipe by their schema, and reports the first mistake with its line.
//!
//! **Invariant:** an unknown key is reported before a missing one, since the one is often the
//! other, misspelt.
use super::table::{RecipeText, Span, Table};
use super::words::{elsewhere, expected, meant, suggest, synonym};
use crate::schema::{Key, Keys, Purpose, Setting, Tables, Visitor, whole, wide};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::{RangeBounds, RangeInclusive};
use std::str::FromStr;
use toml::de::{DeTable, DeValue};

/// The tables that were read, by name: `train.optimizer`, `model.layers.0`; the document is "".
pub(super) type Given<'a> = BTreeMap<String, Table<'a>>;

/// Where a table is: its position, what messages call it, and its name.
pub(super) struct Place {
    pub(super) span: Span,
    pub(super) what: String,
    pub(super) path: String,
}

/// Reads a table into an object that holds its defaults.
pub(super) fn read<'a>(
    given: &mut Given<'a>,
    text: RecipeText<'a>,
    place: Place,
    entries: &'a DeTable<'a>,
    object: &mut dyn Keys,
) -> Result<()> {
    let mut table = Table::new(text, place.what, place.span, entries);
    let names = Names::of(object, |key| table.text_of(key));
    if let Some((_, kind)) = names.chosen {
        table.what += &format!(" ({kind})");
    }
    if let Some((key, span)) = table.unexpected_key(&names.keys, false) {
        let others = names.kinds_with(object, key);
        let (mut known, in_option) = (names.keys.clone(), text.in_option(&span));
        if place.path.is_empty() {
            // They have been applied by now.
            known.push(if in_option { "layers" } else { "extends" });
        }
        if place.path == "model" {
            known.push("change"); // likewise
        }
        let other = if meant(key, &known).is_none() { elsewhere(key, &place.path, in_option) } else { None };
        let message = match &others[..] {
            [] => format!("unknown key \"{key}\"; {}", other.unwrap_or_else(|| suggest(key, &known))),
            [one] => format!("unknown key \"{key}\", which only {one} has; {}", expected(&names.keys)),
            [several @ .., last] => {
                let all = several.join(", ");
                format!("unknown key \"{key}\", which only {all} and {last} have; {}", expected(&names.keys))
            }
        };
        return Err(table.error(&span, &message));
    }
    let mut reader = Reader { given, table, path: place.path, keys: Vec::new(), error: None };
    object.keys(&mut reader);
    let Reader { table, path, keys, error, .. } = reader;
    if let Some(error) = error {
        return Err(error);
    }
    if let Some((key, _)) = table.unexpected_key(&keys, true) {
        let what = table.what.split([' ', ']']).next().unwrap_or_default();
        let what = what.trim_start_matches('[').rsplit('.').next().unwrap_or_default();
        let message = format!("it has no meaning with the {what}'s other keys; remove it");
        return Err(table.value_error(key, &message));
    }
    given.insert(path, table);
    Ok(())
}

/// The names of a table's keys.
struct Names<'t> {
    /// The names of all keys, of the chosen kind or, without a valid one, of any.
    keys: Vec<&'static str>,
    /// The names of all kinds.
    kinds: Vec<&'static str>,
    /// The chosen kind.
    chosen: Option<(usize, &'static str)>,
    /// How a kind is chosen.
    choose: &'t dyn Fn(&str, &[&'static str]) -> Option<usize>,
}

impl<'t> Names<'t> {
    fn visit(object: &mut dyn Keys, choose: &'t dyn Fn(&str, &[&'static str]) -> Option<usize>) -> Names<'t> {
        let mut names = Names { keys: Vec::new(), kinds: Vec::new(), chosen: None, choose };
        object.keys(&mut names);
        names
    }

    /// Returns the names of the keys of a table, given the text of the key that names its kind.
    fn of<'a>(object: &mut dyn Keys, text: impl Fn(&str) -> Option<&'a str>) -> Names<'static> {
        let by_text = |key: &str, kinds: &[&'static str]| kinds.iter().position(|kind| text(key) == Some(kind));
        let Names { mut keys, kinds, chosen, .. } = Names::visit(object, &by_text);
        if chosen.is_none() {
            // The kind itself is wrong; that is reported unless a key is wrong in every kind.
            for at in 0..kinds.len() {
                for key in Names::visit(object, &|_, _| Some(at)).keys {
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
        }
        Names { keys, kinds, chosen, choose: &|_, _| None }
    }

    /// Returns the other kinds that have this key.
    fn kinds_with(&self, object: &mut dyn Keys, key: &str) -> Vec<&'static str> {
        let Some((chosen, _)) = self.chosen else { return Vec::new() };
        let others = self.kinds.iter().enumerate().filter(|(at, _)| *at != chosen);
        let having = others.filter(|(at, _)| Names::visit(object, &|_, _| Some(*at)).keys.contains(&key));
        having.map(|(_, kind)| *kind).collect()
    }
}

impl Visitor for Names<'_> {
    fn purpose(&self) -> Purpose {
        Purpose::List
    }

    fn visit(&mut self, key: Key, setting: Setting<'_>) {
        self.keys.push(key.name);
        if let Setting::Kind(kinds) = setting {
            self.kinds = kinds.all().into_iter().map(|(name, _)| name).collect();
            if let Some(at) = (self.choose)(key.name, &self.kinds) {
                kinds.choose(at);
                self.chosen = Some((at, self.kinds[at]));
            }
        }
    }
}

/// Sets values from a table; the first error is kept.
struct Reader<'g, 'a> {
    given: &'g mut Given<'a>,
    table: Table<'a>,
    path: String,
    /// The keys that have a meaning given the others' values.
    keys: Vec<&'static str>,
    error: Option<Error>,
}

impl Visitor for Reader<'_, '_> {
    fn purpose(&self) -> Purpose {
        Purpose::Read
    }

    fn visit(&mut self, key: Key, setting: Setting<'_>) {
        self.keys.push(key.name);
        if self.error.is_none() {
            self.error = self.set(key, setting).err();
        }
    }
}

impl<'a> Reader<'_, 'a> {
    fn set(&mut self, key: Key, setting: Setting<'_>) -> Result<()> {
        let is_table = matches!(setting, Setting::Table(_));
        let given = match setting {
            Setting::Table(object) => self.read_table(key.name, object)?,
            Setting::Tables(list) => self.read_tables(key.name, list)?,
            value => put(&self.table, key.name, value)?,
        };
        let (table, name) = (&self.table, key.name);
        if let Some(rival) = key.rival {
            match (table.find(rival.name).is_some(), given, rival.example) {
                (true, true, _) => {
                    return Err(table.value_error(name, &format!("give either {} or {name}, not both", rival.name)));
                }
                (false, false, Some(example)) => {
                    let other = rival.name;
                    let message = format!("give either {other} or {name}, such as {other} = {example}");
                    return Err(table.error(&table.span, &message));
                }
                _ => {}
            }
        }
        match key.example {
            Some(advice) if !given && is_table => {
                Err(table.error(&table.span, &format!("[{}] is missing; {advice}", self.below(name))))
            }
            Some(example) if !given && table.text.in_option(&table.span) => {
                let path = match table.text_of("name").filter(|_| self.path.starts_with("model.layers.")) {
                    Some(layer) => format!("layers.{layer}"),
                    None => self.path.clone(),
                };
                Err(table.error(&table.span, &format!("{name} is missing; add --set {path}.{name}={example}")))
            }
            Some(example) if !given => Err(table.missing(name, example)),
            _ => Ok(()),
        }
    }

    /// The name of a table in this one.
    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    fn read_table(&mut self, key: &str, object: &mut dyn Keys) -> Result<bool> {
        let Some(value) = self.table.find(key) else { return Ok(false) };
        let path = self.below(key);
        let what = format!("[{path}]");
        let advice = format!("write it as a table: {what}");
        let entries = value.get_ref().as_table().ok_or_else(|| self.table.value_error(key, &advice))?;
        let place = Place { span: value.span(), what, path };
        read(self.given, self.table.text, place, entries, object).map(|()| true)
    }

    fn read_tables(&mut self, key: &str, list: &mut dyn Tables) -> Result<bool> {
        let path = self.below(key);
        let heading = format!("[[{path}]]");
        let items = self.table.get(
            key,
            || format!("write each as a table: {heading}"),
            |value| {
                let items = value.as_array()?.iter();
                items.map(|item| Some((item.span(), item.get_ref().as_table()?))).collect::<Option<Vec<_>>>()
            },
        )?;
        let text = self.table.text;
        for (at, (span, entries)) in items.into_iter().flatten().enumerate() {
            let table = Table::new(text, String::new(), span.clone(), entries);
            let what = match (list.what(), table.text_of("name")) {
                (None, _) => heading.clone(),
                (Some(what), Some(name)) => format!("{what} \"{name}\""),
                (Some(what), None) => format!("{what} {}", at + 1),
            };
            let line = text.own_line(span.start);
            let place = Place { span, what, path: format!("{path}.{at}") };
            read(self.given, text, place, entries, list.add(line))?;
        }
        Ok(true)
    }
}

/// Sets a value if the key is given, and returns whether it is.
fn put(table: &Table<'_>, name: &str, setting: Setting<'_>) -> Result<bool> {
    Ok(match setting {
        Setting::Integer(value, range) => {
            let range = wide(&range);
            replace(value, table.get(name, || format!("give {}", whole(&range)), |given| in_range(given, &range))?)
        }
        Setting::Count(value, range) => replace(
            value,
            table.get(
                name,
                || format!("give {}", whole(&range)),
                |given| integer(given).filter(|number| range.contains(number)),
            )?,
        ),
        Setting::Pair(value, range) => {
            let range = wide(&range);
            let advice = || format!("give {}, or two of them as [vertical, horizontal]", whole(&range));
            replace(
                value,
                table.get(name, advice, |given| match in_range(given, &range) {
                    Some(both) => Some([both; 2]),
                    None => list(given, |item| in_range(item, &range))?.try_into().ok(),
                })?,
            )
        }
        Setting::Integers(values, allowed) => {
            let fit = |items: &Vec<usize>| items.len() == values.len() && (allowed.fit)(items);
            let read = |given| list(given, |item| in_range(item, &wide(&allowed.each))).filter(fit);
            let found = table.get(name, || allowed.advice.to_string(), read)?;
            found.inspect(|found| values.copy_from_slice(found)).is_some()
        }
        Setting::Rising(values) => {
            let advice = || "give a list of increasing whole numbers of at least 1, such as [80, 120]".to_string();
            let rising = |items: &Vec<u64>| items.first() >= Some(&1) && items.is_sorted_by(|a, b| a < b);
            replace(values, table.get(name, advice, |given| list(given, integer).filter(rising))?)
        }
        Setting::Number(value, allowed) => {
            let fits = |number: &f32| number.is_finite() && allowed.interval.contains(number);
            replace(value, table.get(name, || allowed.advice.into(), |given| number(given).filter(fits))?)
        }
        Setting::Real(value, allowed) => {
            let fits = |number: &f64| number.is_finite() && allowed.interval.contains(number);
            replace(value, table.get(name, || allowed.advice.into(), |given| number(given).filter(fits))?)
        }
        Setting::Numbers(values, allowed) => {
            let fits = |number: &f32| number.is_finite() && allowed.each.contains(number);
            let fit = |items: &Vec<f32>| {
                allowed.lengths.contains(&items.len()) && (!allowed.rising || items.is_sorted_by(|a, b| a < b))
            };
            let read = |given| list(given, |item| number(item).filter(fits)).filter(fit);
            replace(values, table.get(name, || allowed.advice.to_string(), read)?)
        }
        Setting::Flag(value) => replace(value, table.get(name, || "write true or false".into(), DeValue::as_bool)?),
        Setting::Text(value) => replace(value, text(table, name)?),
        Setting::Texts(values) => {
            let advice = || format!("{}, or a list of strings", table.text.string_words(&table.span_of(name)));
            let owned = |item: &DeValue<'_>| item.as_str().map(String::from);
            replace(
                values,
                table.get(name, advice, |given| match given {
                    DeValue::Array(_) => list(given, owned).filter(|items| !items.is_empty()),
                    given => owned(given).map(|text| vec![text]),
                })?,
            )
        }
        Setting::Path(value, advice) => match text(table, name)? {
            Some(given) if given.is_empty() => return Err(table.value_error(name, advice)),
            given => replace(value, given.map(Into::into)),
        },
        Setting::Word(value, words) => replace(value, table.word(name, words)?),
        Setting::WordOr(word, words, other) => match table.find(name).map(|value| value.get_ref()) {
            Some(DeValue::Array(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
                let given = put(table, name, *other)?;
                *word = None;
                given
            }
            // A number in quotes: what is said of another value names numbers, too.
            Some(DeValue::String(text)) if text.trim().parse::<f64>().is_ok() => put(table, name, *other)?,
            _ => replace(word, table.word(name, words)?.map(Some)),
        },
        Setting::Optional(given, value) => {
            *given |= put(table, name, *value)?;
            *given
        }
        Setting::Kind(kinds) => {
            let names: Vec<_> = kinds.all().into_iter().map(|(name, _)| name).collect();
            let missing = || table.missing(name, &format!("one of {}", names.join(", ")));
            let chosen = table.word(name, &names).map_err(|error| explained(error, table, name, &kinds.all()))?;
            kinds.choose(chosen.ok_or_else(missing)?);
            true
        }
        Setting::Table(_) | Setting::Tables(_) => unreachable!("they are read above"),
    })
}

/// Adds the meaning of a kind to the error that suggests it, unless it was only misspelt.
fn explained(error: Error, table: &Table<'_>, name: &str, kinds: &[(&str, &str)]) -> Error {
    let names: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
    let found = table.text_of(name).unwrap_or_default();
    // The meanings of kinds other than of data sets are formulas.
    let word = synonym(found, &names).filter(|_| name == "set");
    let meaning = word.and_then(|word| kinds.iter().find(|(name, _)| *name == word));
    match meaning.filter(|(word, _)| !word.eq_ignore_ascii_case(found)) {
        Some((word, meaning)) => table.value_error(name, &format!("unknown; did you mean \"{word}\" ({meaning})?")),
        None => error,
    }
}

/// Whether a value was given.
fn replace<T>(value: &mut T, given: Option<T>) -> bool {
    let is_given = given.is_some();
    if let Some(given) = given {
        *value = given;
    }
    is_given
}

fn text(table: &Table<'_>, name: &str) -> Result<Option<String>> {
    table.get(name, || table.text.string_words(&table.span_of(name)), |given| given.as_str().map(String::from))
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let digits = value.as_integer()?;
    u64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

fn in_range(value: &DeValue<'_>, range: &RangeInclusive<u64>) -> Option<usize> {
    integer(value).filter(|number| range.contains(number)).and_then(|number| number.try_into().ok())
}

fn number<T: FromStr>(value: &DeValue<'_>) -> Option<T> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(whole) => {
            i64::from_str_radix(whole.as_str(), whole.radix()).ok().and_then(|v| v.to_string().parse().ok())
        }
        _ => None,
    }
}

fn list<T>(value: &DeValue<'_>, read: impl Fn(&DeValue<'_>) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(|item| read(item.get_ref())).collect()
}
