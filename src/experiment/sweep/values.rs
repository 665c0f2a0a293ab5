//! Values of a key: one, several in a list, or a range.

use crate::random::Random;
use crate::{Error, Result};
use toml::de::{DeTable, DeValue};

/// A key with the values to try.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) key: String,
    /// The assignment as it was given.
    pub(super) text: String,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// Anything else than a list or a range.
    One,
    List(Vec<Value>),
    /// Whole numbers, both ends included.
    Whole(i64, i64),
    Real(f64, f64),
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    /// As in a recipe.
    pub(super) toml: String,
    /// Without the quotes of a string.
    pub(super) shown: String,
}

impl Axis {
    /// Reads an assignment.
    pub(super) fn read(assignment: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Usage(format!("--set {assignment}: {why}"));
        let (key, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        let (key, value) = (key.trim(), value.trim());
        let values = if value.starts_with('[') {
            match list(value) {
                Some(items) if items.is_empty() => return Err(wrong("the list has no values")),
                Some(items) => Values::List(items),
                None => Values::One,
            }
        } else {
            range(value).map_err(wrong)?.unwrap_or(Values::One)
        };
        Ok(Self { key: key.into(), text: assignment.trim().into(), values })
    }

    pub(super) fn is_swept(&self) -> bool {
        !matches!(self.values, Values::One)
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.values, Values::List(_))
    }

    pub(super) fn is_range(&self) -> bool {
        matches!(self.values, Values::Whole(..) | Values::Real(..))
    }

    /// Returns the text of the value.
    pub(super) fn value(&self) -> &str {
        self.text.split_once('=').map_or("", |(_, value)| value.trim())
    }

    /// Returns the values in the list.
    pub(super) fn listed(&self) -> &[Value] {
        match &self.values {
            Values::List(values) => values,
            _ => &[],
        }
    }

    /// Returns the number of values, or `None` for real numbers.
    pub(super) fn number(&self) -> Option<u64> {
        match &self.values {
            Values::One => Some(1),
            Values::List(values) => Some(values.len() as u64),
            Values::Whole(low, high) => Some(high.abs_diff(*low).saturating_add(1)),
            Values::Real(..) => None,
        }
    }

    /// Draws a value: listed values and whole numbers are equally likely; real numbers are uniform,
    /// on a logarithmic scale if both ends of the range are positive.
    pub(super) fn draw(&self, random: &mut Random) -> Value {
        let unit = random.unit();
        let number = |text: String| Value { toml: text.clone(), shown: text };
        match &self.values {
            Values::One => unreachable!("only swept keys are drawn"),
            Values::List(values) => values[((unit * values.len() as f64) as usize).min(values.len() - 1)].clone(),
            Values::Whole(low, high) => {
                let count = (high.abs_diff(*low) as f64) + 1.0;
                number(low.saturating_add((unit * count) as i64).min(*high).to_string())
            }
            Values::Real(low, high) => {
                let drawn = if *low > 0.0 {
                    // The same bits on every system.
                    low * libm::exp(unit * libm::log(high / low))
                } else {
                    low + unit * (high - low)
                };
                number(format!("{:?}", short(drawn, high - low).clamp(*low, *high)))
            }
        }
    }
}

/// Rounds to four digits, or to more for a narrow range.
fn short(value: f64, width: f64) -> f64 {
    let size = |value: f64| if value == 0.0 { 0.0 } else { libm::floor(libm::log10(value.abs())) };
    let digits = (size(value) - size(width)).max(0.0) as usize + 3;
    format!("{value:.digits$e}").parse().unwrap_or(value)
}

/// Returns the values of a list, or `None` if it is not valid TOML.
fn list(text: &str) -> Option<Vec<Value>> {
    let line = format!("x = {text}");
    let document = DeTable::parse(&line).ok()?;
    let list = document.get_ref().get("x")?;
    let items = list.get_ref().as_array().filter(|_| list.span().end == line.len())?;
    let value = |item: &toml::Spanned<DeValue<'_>>| {
        let toml = line.get(item.span())?.to_string();
        let shown = item.get_ref().as_str().map_or_else(|| toml.split_whitespace().collect(), str::to_string);
        Some(Value { toml, shown })
    };
    items.iter().map(value).collect()
}

/// Returns the range of a value such as `0.001..0.3`, or `None` if it is something else.
fn range(text: &str) -> Result<Option<Values>, &'static str> {
    let Some((low, high)) = text.split_once("..") else { return Ok(None) };
    let (low, high) = (low.trim(), high.trim());
    let found = match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) => Values::Whole(low, high),
        _ => match (low.parse::<f64>(), high.parse::<f64>()) {
            (Ok(low), Ok(high)) if low.is_finite() && high.is_finite() => Values::Real(low, high),
            _ => return Ok(None),
        },
    };
    let rises = match found {
        Values::Whole(low, high) => low < high,
        Values::Real(low, high) => low < high,
        Values::One | Values::List(_) => true,
    };
    if rises { Ok(Some(found)) } else { Err("the range must go from the smaller to the larger number") }
}
