//! Options that are whole numbers.

use clap::builder::TypedValueParser;
use halfwave::schema;
use std::ops::RangeInclusive;

/// The largest number in a recipe, for options without another limit.
pub(super) const MOST: u64 = i64::MAX as u64;

/// Returns the parser of an option with a number in `range`, whose errors say which numbers those
/// are.
pub(super) fn whole<T>(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<u64> + Clone + Send + Sync + 'static,
{
    // A limit that no one comes near is not worth telling.
    let told = *range.start()..=if *range.end() == MOST { u64::MAX } else { *range.end() };
    move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| format!("give {}", schema::whole(&told)))
    }
}
