//! The results of a study as text: for a terminal, as Markdown and as CSV; and as numbers to draw.

use super::{Outcome, Study, StudyArm, deviation, mean};
use crate::plots::{self, Means};
use crate::text::columns;
use std::collections::BTreeSet;

/// Results of a study, complete or partial.
pub struct Table<'a> {
    study: &'a Study,
    /// Outcomes by arm and seed; `None` for a run that is not finished.
    outcomes: &'a [Vec<Option<Outcome>>],
}

/// The statistics of an arm; accuracies in per cent.
#[derive(Debug, PartialEq)]
struct Line {
    /// Number of finished runs.
    over: usize,
    diverged: usize,
    mean: Option<f64>,
    deviation: Option<f64>,
    validation: Option<f64>,
    /// Over the runs; `None` for fewer than two.
    validation_deviation: Option<f64>,
    images_per_s: Option<f64>,
    difference: Option<f64>,
}

/// Placeholder for an unknown value.
const NONE: &str = "–";

impl<'a> Table<'a> {
    /// Creates a table from `outcomes`, indexed by arm and seed.
    pub fn new(study: &'a Study, outcomes: &'a [Vec<Option<Outcome>>]) -> Self {
        Self { study, outcomes }
    }

    fn line(&self, arm: usize) -> Line {
        let over: Vec<_> = self.outcomes[arm].iter().flatten().collect();
        let all = |value: fn(&Outcome) -> Option<f64>| over.iter().filter_map(|run| value(run)).collect::<Vec<_>>();
        let last = all(Outcome::last);
        let validated = all(Outcome::validated);
        let mean_last = mean(&last);
        let known = self.study.arms[arm].published;
        let known = known.filter(|known| self.study.published && known.network.is_none());
        Line {
            over: over.len(),
            diverged: over.iter().filter(|run| run.diverged.is_some()).count(),
            mean: mean_last,
            deviation: deviation(&last),
            validation: mean(&validated),
            validation_deviation: deviation(&validated),
            images_per_s: mean(&all(|run| run.images_per_s)),
            difference: known.zip(mean_last).map(|(known, mean)| known.difference(mean)),
        }
    }

    /// Returns whether this is a sweep with validation images, which then decide what is best.
    fn is_validated(&self) -> bool {
        self.study.keys.is_some() && self.outcomes.iter().flatten().flatten().any(|run| !run.validation.is_empty())
    }

    /// Returns what an arm is called.
    fn what(&self) -> &'static str {
        if self.study.keys.is_some() { "combination" } else { "arm" }
    }

    /// Returns what the plots show: validation accuracy if it decides.
    pub fn drawn_accuracy(&self) -> &'static str {
        if self.is_validated() { "validation accuracy" } else { "test accuracy" }
    }

    /// Returns the names of the columns, and how they are aligned.
    fn head(&self) -> (Vec<&'static str>, String) {
        let validation: &[_] = if self.is_validated() { &["validation, %"] } else { &[] };
        let published: &[_] = if self.study.keys.is_none() { &["published, %", "difference", "source"] } else { &[] };
        let head = [&[self.what(), "seeds", "test accuracy, %"], validation, &["images/s"], published].concat();
        let is_text = |at: usize, name: &str| at == 0 || name == "source";
        let align = head.iter().enumerate().map(|(at, name)| if is_text(at, name) { 'l' } else { 'r' }).collect();
        (head, align)
    }

    /// Returns the cells of an arm, without its name, for the columns of the head.
    fn cells(&self, arm: usize) -> Vec<String> {
        let (line, known, seeds) = (self.line(arm), self.study.arms[arm].published, self.outcomes[arm].len());
        let of = if line.over < seeds { format!("{} of {seeds}", line.over) } else { seeds.to_string() };
        let accuracy = match (line.mean, line.deviation) {
            (Some(mean), Some(deviation)) => format!("{mean:.2} ± {deviation:.2}"),
            (Some(mean), None) => format!("{mean:.2}"),
            _ => NONE.to_string(),
        };
        let text = |value: Option<String>| value.unwrap_or_else(|| NONE.to_string());
        let speed = |speed: f64| if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") };
        let mut cells =
            vec![if line.diverged > 0 { format!("{of}, {} diverged", line.diverged) } else { of }, accuracy];
        if self.is_validated() {
            cells.push(text(line.validation.map(|value| format!("{value:.2}"))));
        }
        cells.push(text(line.images_per_s.map(speed)));
        if self.study.keys.is_none() {
            cells.extend([text(known.map(|known| known.text())), text(line.difference.map(signed))]);
            cells.push(known.map_or(String::new(), |known| known.cited()));
        }
        cells
    }

    /// Returns the arms, the best one first: by mean accuracy, on validation images if there are.
    /// Those with runs that diverged come behind those without, and those without a result last.
    fn ranked(&self) -> Vec<usize> {
        let is_validated = self.is_validated();
        let key = |arm: usize| {
            let line = self.line(arm);
            let value = if is_validated { line.validation } else { line.mean };
            (value.map(|_| line.diverged == 0), value.unwrap_or_default(), arm)
        };
        let mut arms: Vec<_> = (0..self.study.arms.len()).map(key).collect();
        arms.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));
        arms.into_iter().map(|(_, _, arm)| arm).collect()
    }

    /// Returns the best arm of a sweep, if there is a result.
    fn best(&self) -> Option<usize> {
        self.study.keys.as_ref().filter(|_| self.study.arms.len() > 1)?;
        self.ranked().first().copied().filter(|arm| self.line(*arm).mean.is_some())
    }

    /// Returns notes needed to read the table, a sentence or two each.
    fn notes(&self) -> Vec<String> {
        let seeds = self.outcomes.first().map_or(0, Vec::len);
        let accuracy = match seeds {
            0 | 1 => "Test accuracy: at the end of the run; one seed, so there is no standard deviation.".to_string(),
            _ => format!("Test accuracy: at the end of each run, mean ± standard deviation over {seeds} seeds."),
        };
        let published = match (self.study.arms.iter().any(|arm| arm.published.is_some()), self.study.published) {
            (false, _) => None,
            (true, true) => Some(
                "The difference is to the published number, or to the nearer end of its range, if that is for the same network.",
            ),
            (true, false) => {
                Some("Published numbers are for larger networks on the whole of CIFAR-10, so no difference is given.")
            }
        };
        let validation =
            "Validation: accuracy on the validation images at the end of each run, mean; the plots show it, too.";
        let validation = self.is_validated().then_some(validation);
        let chosen = self.best().map(|_| match self.is_validated() {
            true => "Bold: the highest mean accuracy on the validation images.",
            false => {
                "Bold: the highest mean. It is the best of several on the same test images, so its accuracy on other \
                 images is probably somewhat lower; [data] validation = \"auto\" holds images out for the choice."
            }
        });
        let notes = self.study.notes.iter().map(String::as_str);
        let others = validation.into_iter().chain(chosen).chain(published).chain(notes);
        [accuracy].into_iter().chain(others.map(str::to_string)).collect()
    }

    /// Formats the table for a terminal, whose width may be known. The arms of a sweep are sorted,
    /// and the best one is marked.
    pub fn text(&self, width: Option<usize>) -> String {
        let best = self.best();
        let order = if self.study.keys.is_some() { self.ranked() } else { (0..self.study.arms.len()).collect() };
        let rows = order.into_iter().map(|at| {
            let mark = if best == Some(at) { " *" } else { "" };
            format!("\n{}{mark}\t{}", self.study.arms[at].name, self.cells(at).join("\t"))
        });
        let (head, align) = self.head();
        let text = columns(&align, &rows.fold(head.join("\t"), |rows, row| rows + &row), width);
        match (best, self.is_validated()) {
            (None, _) => text,
            (Some(_), true) => text + "* highest mean on the validation images\n",
            (Some(_), false) => text + "* highest mean\n",
        }
    }

    /// Returns the adapters that were used, without duplicates.
    fn devices(&self) -> String {
        let devices: BTreeSet<_> = self.outcomes.iter().flatten().flatten().map(|run| run.device.as_str()).collect();
        devices.into_iter().collect::<Vec<_>>().join(" and ")
    }

    /// Formats the table as a Markdown document, with everything needed to read it.
    pub fn markdown(&self) -> String {
        let Self { study, .. } = self;
        let (first, rest) = study.setting.split_at(study.setting.chars().next().map_or(0, char::len_utf8));
        let (setting, version) = (first.to_uppercase() + rest, crate::version::VERSION);
        let devices = self.devices();
        let mut text = format!("# {}: {}\n\n", study.name, escaped(&study.about));
        text += &format!("{}. Produced by halfwave {version} on the adapter {devices}.\n\n", escaped(&setting));
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let (head, align) = self.head();
        let head: Vec<_> = head.into_iter().map(String::from).collect();
        let described = match &study.keys {
            Some(keys) => keys.iter().map(|key| format!("`{key}`")).collect(),
            None => vec!["description".to_string()],
        };
        text += &row(&[&head[..1], &described, &head[1..]].concat());
        let rule = |column| if column == 'r' { "---:|" } else { "---|" };
        let rules = align.chars().skip(1).map(rule).collect::<String>();
        text += &format!("|---|{}{rules}\n", "---|".repeat(described.len()));
        let best = self.best();
        for (at, arm) in study.arms.iter().enumerate() {
            let name = escaped(&arm.name);
            let name = if best == Some(at) { format!("**{name}**") } else { name };
            let described = if study.keys.is_some() { &arm.values } else { &vec![arm.about.clone()] };
            let described = described.iter().map(|cell| escaped(cell));
            text += &row(&[name].into_iter().chain(described).chain(self.cells(at)).collect::<Vec<_>>());
        }
        text.push('\n');
        self.notes().iter().for_each(|note| text += &format!("- {note}\n"));
        text += "\n![accuracy by epoch](accuracy.svg)\n";
        if self.by_value().is_some() {
            text += "\n![accuracy by value](by-value.svg)\n";
        }
        text
    }

    /// Formats the table as CSV, one line per arm, with unrounded numbers; unknown values are
    /// empty. For a sweep, the last columns are the values of its keys.
    pub fn csv(&self) -> String {
        let published = ",published_low_percent,published_high_percent,difference_percent,source";
        let further = match &self.study.keys {
            Some(keys) => {
                let validation = self.is_validated().then(|| ",validation_percent".to_string());
                validation.into_iter().chain(keys.iter().map(|key| format!(",{}", quoted(key)))).collect()
            }
            None => published.to_string(),
        };
        let mut text = format!(
            "{},network,seeds,runs,diverged,mean_percent,deviation_percent,images_per_s{further}\n",
            self.what()
        );
        for (at, arm) in self.study.arms.iter().enumerate() {
            let line = self.line(at);
            let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
            let [mean, deviation, speed] = [line.mean, line.deviation, line.images_per_s].map(number);
            let further = match &self.study.keys {
                Some(_) => {
                    let validation = self.is_validated().then(|| format!(",{}", number(line.validation)));
                    validation.into_iter().chain(arm.values.iter().map(|value| format!(",{}", quoted(value)))).collect()
                }
                None => published_cells(arm, number(line.difference)),
            };
            let (name, network, seeds) = (quoted(&arm.name), quoted(&arm.network), self.outcomes[at].len());
            let (over, diverged) = (line.over, line.diverged);
            text += &format!("{name},{network},{seeds},{over},{diverged},{mean},{deviation},{speed}{further}\n");
        }
        text
    }

    /// Returns the mean accuracy of each arm by epoch, with its standard deviation, over the
    /// finished runs that measured it: on validation images if those decide, because test images
    /// are then evaluated only once.
    pub fn curves(&self) -> Vec<Means> {
        let is_validated = self.is_validated();
        let points = |run: &'a Outcome| if is_validated { &run.validation } else { &run.curve };
        let curve = |runs: &'a Vec<Option<Outcome>>| {
            let mut epochs: Vec<u64> = runs.iter().flatten().flat_map(points).map(|point| point.0).collect();
            epochs.sort_unstable();
            epochs.dedup();
            let at = |epoch: u64| {
                let measured = runs.iter().flatten().flat_map(points).filter(|point| point.0 == epoch);
                let values: Vec<_> = measured.map(|point| point.1).collect();
                Some((epoch, mean(&values)?, deviation(&values)))
            };
            epochs.into_iter().filter_map(at).collect()
        };
        self.outcomes.iter().map(curve).collect()
    }

    /// Formats [`Table::curves`] as CSV, one line per arm and epoch.
    pub fn curves_csv(&self) -> String {
        let mut text = format!("{},epoch,mean_percent,deviation_percent\n", self.what());
        for (arm, curve) in self.study.arms.iter().zip(self.curves()) {
            for (epoch, mean, deviation) in curve {
                let deviation = deviation.map_or(String::new(), |deviation| format!("{deviation:.4}"));
                text += &format!("{},{epoch},{mean:.4},{deviation}\n", quoted(&arm.name));
            }
        }
        text
    }

    /// Returns the curves to draw, with their names: all, or of many only those of the best arms.
    pub fn drawn(&self) -> (Vec<(String, Means)>, bool) {
        let ranked = self.ranked();
        let all = self.study.keys.is_none() || ranked.len() <= MOST_LINES;
        let shown = |at: &usize| all || ranked[..MOST_LINES].contains(at);
        let curves = self.study.arms.iter().zip(self.curves()).enumerate().filter(|(at, _)| shown(at));
        (curves.map(|(_, (arm, curve))| (arm.name.clone(), curve)).collect(), all)
    }

    /// Returns the mean final accuracy of a sweep's arms, on validation images if those decide, by
    /// the value of the key with the most numbers,
    /// with a line for every combination of the others' values; `None` if no key has numbers, or
    /// there would be too many lines, or lines of single points.
    pub fn by_value(&self) -> Option<ByValue> {
        let keys = self.study.keys();
        let column = |key: usize| self.study.arms.iter().map(move |arm| arm.values[key].parse::<f64>().ok());
        let different = |key: &usize| {
            let values: Option<BTreeSet<_>> = column(*key).map(|value| value.map(f64::to_bits)).collect();
            Some((values?.len(), *key))
        };
        // Of equals, the first one.
        let candidates = (0..keys.len()).rev().filter_map(|key| different(&key)).filter(|(count, _)| *count > 1);
        let (_, key) = candidates.max_by_key(|(count, _)| *count)?;
        let mut lines: Vec<plots::ByValue> = Vec::new();
        for (at, (arm, value)) in self.study.arms.iter().zip(column(key)).enumerate() {
            let others = (0..keys.len()).filter(|other| *other != key);
            let name = others.map(|other| format!("{}={}", last_part(&keys[other]), arm.values[other]));
            let name = name.collect::<Vec<_>>().join(", ");
            let line = match lines.iter().position(|(known, _)| *known == name) {
                Some(line) => line,
                None => {
                    lines.push((name, Vec::new()));
                    lines.len() - 1
                }
            };
            let result = self.line(at);
            let (mean, deviation) = match self.is_validated() {
                true => (result.validation, result.validation_deviation),
                false => (result.mean, result.deviation),
            };
            lines[line].1.push((value?, mean.unwrap_or(f64::NAN), deviation));
        }
        if lines.len() > MOST_LINES || lines.iter().any(|(_, points)| points.len() < 2) {
            return None;
        }
        for (_, points) in &mut lines {
            points.retain(|(_, mean, _)| mean.is_finite());
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Some(ByValue { key: keys[key].clone(), lines })
    }
}

/// Accuracies by the value of a key.
#[derive(Debug, PartialEq)]
pub struct ByValue {
    /// The key.
    pub key: String,
    /// The lines.
    pub lines: Vec<plots::ByValue>,
}

/// Largest number of lines in a plot of a sweep.
const MOST_LINES: usize = 8;

fn last_part(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, last)| last)
}

/// Returns a cell of CSV, in quotes if necessary.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_string() }
}

/// Returns text for a table in Markdown.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*")
}

/// Returns the cells of a published result as CSV, each after a comma.
fn published_cells(arm: &StudyArm, difference: String) -> String {
    let number = |value: f64| format!("{value:.4}");
    let source = |cited: String| format!("\"{}\"", cited.replace('"', "\"\""));
    match arm.published {
        Some(known) => format!(",{},{},{difference},{}", number(known.low), number(known.high), source(known.cited())),
        None => format!(",,,{difference},"),
    }
}

fn signed(value: f64) -> String {
    match format!("{value:+.2}").as_str() {
        "+0.00" | "-0.00" => "0".to_string(),
        text => text.replace('-', "−"),
    }
}
