//! Sweeps: combinations of values for keys of a recipe, all of them (grid search) or some drawn at
//! random (random search).

mod names;
mod values;

use super::{Study, StudyArm};
use crate::random::Random;
use crate::recipe::{Recipe, Source};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use values::{Axis, Value};

/// Largest number of combinations.
const MOST_ARMS: u64 = 1000;

/// Largest number of runs.
const MOST_RUNS: u64 = 10_000;

/// What is swept.
///
/// ```
/// use halfwave::experiment::Sweep;
/// use halfwave::recipe::Source;
/// let set = ["train.optimizer.lr=[0.1, 0.03]".to_string(), "layers.q*.bits=[1, 2, 3]".to_string()];
/// let sweep = Sweep { name: "digits", set: &set, fix: &[], draws: None, seeds: 3 };
/// let study = sweep.study(&Source::builtin("digits").unwrap(), |_| Ok(()))?;
/// assert_eq!(study.arms.len(), 6);
/// assert_eq!(study.run_name(0, 2), "lr=0.1,q.bits=1-seed2");
/// # Ok::<(), halfwave::Error>(())
/// ```
#[derive(Debug)]
pub struct Sweep<'a> {
    /// Name of the recipe.
    pub name: &'a str,
    /// Assignments `KEY=VALUE`. A list is tried value by value, and so is a range `a..b` in a
    /// random search.
    pub set: &'a [String],
    /// Assignments whose value is taken as it is, also if it is a list.
    pub fix: &'a [String],
    /// Number of combinations of a random search, and its seed.
    pub draws: Option<(u64, u64)>,
    /// Number of runs of each combination.
    pub seeds: u64,
}

impl Sweep<'_> {
    /// Returns the sweep of a recipe; `adjust` changes the recipe of every arm.
    ///
    /// # Errors
    ///
    /// Returns an error if an assignment has no meaning for the recipe, there are no or too many
    /// combinations, or two of them are the same network.
    pub fn study(&self, source: &Source, adjust: impl Fn(&mut Recipe) -> Result<()>) -> Result<Study> {
        // What is no assignment at all is found first.
        let mut scratch = source.clone();
        self.set.iter().try_for_each(|set| scratch.set(set))?;
        let axes = self.set.iter().map(|set| Axis::read(set)).collect::<Result<Vec<_>>>()?;
        self.check(&axes)?;
        let swept: Vec<_> = axes.iter().filter(|axis| axis.is_swept()).collect();
        let combinations = match self.draws {
            None => grid(&swept)?,
            Some((number, seed)) => draw(&swept, number, seed)?,
        };
        if combinations.len() as u64 * self.seeds > MOST_RUNS {
            let runs = format!("{} combinations × {} seeds", combinations.len(), self.seeds);
            return Err(Error::Usage(format!("{runs} are more than {MOST_RUNS} runs; list fewer values or seeds")));
        }
        let keys: Vec<_> = swept.iter().map(|axis| axis.key.clone()).collect();
        let names = names::of_arms(self.name, &keys, &combinations);
        let mut arms: Vec<StudyArm> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (name, values) in names.into_iter().zip(combinations) {
            let mut recipe = self.recipe(source, &axes, &values)?;
            adjust(&mut recipe)?;
            recipe.train.seed = 0;
            let arm = StudyArm {
                name,
                about: assignments(&keys, &values),
                network: self.name.into(),
                values: values.into_iter().map(|value| value.shown).collect(),
                published: None,
                recipe,
            };
            if let Some(&first) = known.get(&arm.recipe.to_toml()) {
                return Err(Error::Usage(format!(
                    "{} and {} are the same network and training; list each value once, and none for keys \
                     that another option sets",
                    arms[first].about, arm.about
                )));
            }
            known.insert(arm.recipe.to_toml(), arms.len());
            arms.push(arm);
        }
        let about = match swept.iter().map(|axis| axis.text.as_str()).collect::<Vec<_>>() {
            swept if swept.is_empty() => "one network with several seeds".into(),
            swept => swept.join(" × "),
        };
        Ok(Study {
            name: format!("{}-sweep", self.name),
            about: match self.draws {
                Some((number, seed)) => format!("{about}, {number} drawn with seed {seed}"),
                None => about,
            },
            setting: format!("recipe {}{}", self.name, self.fixed(&axes)),
            notes: Vec::new(),
            arms,
            keys: Some(keys),
            seeds: self.seeds,
            published: false,
        })
    }

    /// Returns ", with …" for the assignments that all arms share.
    fn fixed(&self, axes: &[Axis]) -> String {
        let set = axes.iter().filter(|axis| !axis.is_swept()).map(|axis| axis.text.as_str());
        let fixed: Vec<_> = self.fix.iter().map(String::as_str).chain(set).collect();
        if fixed.is_empty() { String::new() } else { format!(", with {}", fixed.join(", ")) }
    }

    /// Finds options that contradict each other.
    fn check(&self, axes: &[Axis]) -> Result<()> {
        let wrong = |why: String| Err(Error::Usage(why));
        let fixed = self.fix.iter().map(|fix| fix.split_once('=').map_or(fix.as_str(), |(key, _)| key).trim());
        let mut seen = BTreeSet::new();
        for key in axes.iter().map(|axis| axis.key.as_str()).chain(fixed) {
            if key == "train.seed" {
                return wrong("train.seed: --seeds N gives the seeds, which start at 0".into());
            }
            if !seen.insert(key) {
                return wrong(format!("{key} is given twice; list its values once, as in --set '{key}=[…, …]'"));
            }
        }
        if let (None, Some(range)) = (self.draws, axes.iter().find(|axis| axis.is_range())) {
            return wrong(format!("--set {}: a range needs a random search: --random N draws N values", range.text));
        }
        let swept = axes.iter().any(Axis::is_swept);
        if self.draws.is_some() && !swept {
            return wrong("--random: there is nothing to draw; list values or a range: --set 'KEY=[…, …]'".into());
        }
        if !swept && self.seeds < 2 {
            return wrong(
                "there is nothing to sweep; list values, as in --set 'train.optimizer.lr=[0.1, 0.03]', or give --seeds N"
                    .into(),
            );
        }
        Ok(())
    }

    /// Reads the recipe of a combination.
    fn recipe(&self, source: &Source, axes: &[Axis], values: &[Value]) -> Result<Recipe> {
        let read = |as_list: Option<&str>| {
            let (mut source, mut values) = (source.clone(), values.iter());
            self.fix.iter().try_for_each(|fix| source.set_by("--fix", fix))?;
            for axis in axes {
                let value = if axis.is_swept() { values.next() } else { None };
                match value.filter(|_| as_list != Some(&axis.key)) {
                    Some(value) => source.set(&format!("{}={}", axis.key, value.toml))?,
                    None => source.set(&axis.text)?,
                }
            }
            source.recipe()
        };
        read(None).map_err(|error| {
            // A list was probably meant as the value itself if the recipe is valid with it.
            let lists = || axes.iter().filter(|axis| axis.is_list());
            match lists().find(|axis| read(Some(&axis.key)).is_ok()) {
                Some(axis) => Error::Usage(format!(
                    "{error}; a sweep tries each value of a list: if {} is one value, write --fix '{}'",
                    axis.value(),
                    axis.text
                )),
                None => error,
            }
        })
    }
}

/// Returns "lr=0.1, bits=2".
fn assignments(keys: &[String], values: &[Value]) -> String {
    let each = keys.iter().zip(values).map(|(key, value)| format!("{key}={}", value.shown));
    each.collect::<Vec<_>>().join(", ")
}

/// Returns all combinations; the last key changes first.
fn grid(axes: &[&Axis]) -> Result<Vec<Vec<Value>>> {
    let number = number(axes).unwrap_or(u64::MAX);
    if number > MOST_ARMS {
        return Err(Error::Usage(format!(
            "{number} combinations are more than {MOST_ARMS}; list fewer values, or draw some of them: --random N"
        )));
    }
    let mut all = vec![Vec::new()];
    for axis in axes {
        let with = |start: &Vec<Value>| {
            axis.listed().iter().map(|value| [&start[..], std::slice::from_ref(value)].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    Ok(all)
}

/// Returns the number of combinations, or `None` if a range of real numbers has too many to count.
fn number(axes: &[&Axis]) -> Option<u64> {
    axes.iter().try_fold(1u64, |number, axis| Some(number.saturating_mul(axis.number()?)))
}

/// Draws different combinations. With another `number`, the first ones are the same; so are the
/// values of a key if another key is added.
fn draw(axes: &[&Axis], wanted: u64, seed: u64) -> Result<Vec<Vec<Value>>> {
    if let Some(most) = number(axes).filter(|most| wanted > *most) {
        return Err(Error::Usage(format!("--random {wanted}: there are only {most} different combinations")));
    }
    let mut streams: Vec<_> = axes.iter().map(|axis| Random::new(seed, &format!("sweep/{}", axis.key))).collect();
    let (mut drawn, mut seen) = (Vec::new(), BTreeSet::new());
    // Enough to find all of a thousand combinations, except with negligible probability.
    for _ in 0..100 * wanted + 1000 {
        if drawn.len() as u64 == wanted {
            break;
        }
        let values: Vec<_> = axes.iter().zip(&mut streams).map(|(axis, random)| axis.draw(random)).collect();
        if seen.insert(values.iter().map(|value| value.toml.clone()).collect::<Vec<_>>()) {
            drawn.push(values);
        }
    }
    match drawn.len() as u64 {
        found if found < wanted => {
            Err(Error::Usage(format!("--random {wanted}: only {found} different combinations were found")))
        }
        _ => Ok(drawn),
    }
}

#[cfg(test)]
mod tests;
