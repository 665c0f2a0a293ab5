//! The results of an experiment as text: for a terminal, as Markdown and as CSV.

use super::{Experiment, Outcome, Preset, deviation, mean};
use crate::plots::Means;
use crate::text::columns;
use std::collections::BTreeSet;

/// Results of an experiment, complete or partial.
pub struct Table<'a> {
    experiment: &'a Experiment,
    preset: &'a Preset,
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
    best: Option<f64>,
    images_per_s: Option<f64>,
    difference: Option<f64>,
}

const HEAD: [&str; 8] =
    ["arm", "seeds", "test accuracy, %", "best, %", "images/s", "published, %", "difference", "source"];

/// Placeholder for an unknown value.
const NONE: &str = "–";

impl<'a> Table<'a> {
    /// Creates a table from `outcomes`, indexed by arm and seed.
    pub fn new(experiment: &'a Experiment, preset: &'a Preset, outcomes: &'a [Vec<Option<Outcome>>]) -> Self {
        Self { experiment, preset, outcomes }
    }

    fn line(&self, arm: usize) -> Line {
        let over: Vec<_> = self.outcomes[arm].iter().flatten().collect();
        let all = |value: fn(&Outcome) -> Option<f64>| over.iter().filter_map(|run| value(run)).collect::<Vec<_>>();
        let last = all(Outcome::last);
        let mean_last = mean(&last);
        let known = self.experiment.arms[arm].known().filter(|known| self.preset.published && known.network.is_none());
        Line {
            over: over.len(),
            diverged: over.iter().filter(|run| run.diverged.is_some()).count(),
            mean: mean_last,
            deviation: deviation(&last),
            best: all(Outcome::best).into_iter().reduce(f64::max),
            images_per_s: mean(&all(|run| run.images_per_s)),
            difference: known.zip(mean_last).map(|(known, mean)| known.difference(mean)),
        }
    }

    /// Returns the cells of an arm, without its name.
    fn cells(&self, arm: usize) -> [String; 7] {
        let (line, known, seeds) = (self.line(arm), self.experiment.arms[arm].known(), self.outcomes[arm].len());
        let of = if line.over < seeds { format!("{} of {seeds}", line.over) } else { seeds.to_string() };
        let accuracy = match (line.mean, line.deviation) {
            (Some(mean), Some(deviation)) => format!("{mean:.2} ± {deviation:.2}"),
            (Some(mean), None) => format!("{mean:.2}"),
            _ => NONE.to_string(),
        };
        let text = |value: Option<String>| value.unwrap_or_else(|| NONE.to_string());
        [
            if line.diverged > 0 { format!("{of}, {} diverged", line.diverged) } else { of },
            accuracy,
            text(line.best.map(|best| format!("{best:.2}"))),
            text(
                line.images_per_s.map(|speed| if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") }),
            ),
            text(known.map(|known| known.text())),
            text(line.difference.map(signed)),
            known.map_or(String::new(), |known| known.cited()),
        ]
    }

    /// Returns notes needed to read the table, a sentence or two each.
    fn notes(&self) -> Vec<String> {
        let seeds = self.outcomes.first().map_or(0, Vec::len);
        let accuracy = match seeds {
            0 | 1 => "Test accuracy: at the end of the run; one seed, so there is no standard deviation.".to_string(),
            _ => format!("Test accuracy: at the end of each run, mean ± standard deviation over {seeds} seeds."),
        };
        let published = match (self.experiment.arms.iter().any(|arm| arm.known().is_some()), self.preset.published) {
            (false, _) => None,
            (true, true) => Some(
                "The difference is to the published number, or to the nearer end of its range, if that is for the same network.",
            ),
            (true, false) => {
                Some("Published numbers are for larger networks on the whole of CIFAR-10, so no difference is given.")
            }
        };
        let best = "Best: the highest test accuracy after any epoch of any seed.";
        let notes = self.experiment.notes.iter().copied();
        [accuracy].into_iter().chain([best].into_iter().chain(published).chain(notes).map(str::to_string)).collect()
    }

    /// Formats the table for a terminal, whose width may be known.
    pub fn text(&self, width: Option<usize>) -> String {
        let arms = self.experiment.arms.iter().enumerate();
        let rows = arms.map(|(at, arm)| format!("\n{}\t{}", arm.name, self.cells(at).join("\t")));
        columns("lrrrrrrl", &rows.fold(HEAD.join("\t"), |rows, row| rows + &row), width)
    }

    /// Returns the adapters that were used, without duplicates.
    fn devices(&self) -> String {
        let devices: BTreeSet<_> = self.outcomes.iter().flatten().flatten().map(|run| run.device.as_str()).collect();
        devices.into_iter().collect::<Vec<_>>().join(" and ")
    }

    /// Formats the table as a Markdown document, with everything needed to read it.
    pub fn markdown(&self) -> String {
        let Self { experiment, preset, .. } = self;
        let mut text = format!("# {}: {}\n\n", experiment.name, experiment.about);
        text += &format!(
            "Preset {}: {}. Produced by halfwave {} on the adapter {}.\n\n",
            preset.name,
            preset.about,
            crate::version::VERSION,
            self.devices()
        );
        let row = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
        text += &row(&[&HEAD[..1], &["description"], &HEAD[1..]].concat());
        text += "|---|---|---:|---:|---:|---:|---:|---:|---|\n";
        for (at, arm) in experiment.arms.iter().enumerate() {
            let cells = self.cells(at);
            let cells: Vec<_> = [arm.name, arm.about].into_iter().chain(cells.iter().map(String::as_str)).collect();
            text += &row(&cells);
        }
        text.push('\n');
        self.notes().iter().for_each(|note| text += &format!("- {note}\n"));
        text + "\n![accuracy by epoch](accuracy.svg)\n"
    }

    /// Formats the table as CSV, one line per arm, with unrounded numbers; unknown values are
    /// empty.
    pub fn csv(&self) -> String {
        let mut text = "arm,network,seeds,runs,diverged,mean_percent,deviation_percent,best_percent,images_per_s,\
                        published_low_percent,published_high_percent,difference_percent,source\n"
            .to_string();
        for (at, arm) in self.experiment.arms.iter().enumerate() {
            let (line, known) = (self.line(at), arm.known());
            let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
            let [low, high] = [known.map(|known| known.low), known.map(|known| known.high)].map(number);
            let [mean, deviation, best, speed, difference] =
                [line.mean, line.deviation, line.best, line.images_per_s, line.difference].map(number);
            let source = known.map_or(String::new(), |known| format!("\"{}\"", known.cited().replace('"', "\"\"")));
            let (name, network, seeds) =
                (arm.name, arm.base(self.experiment.name, self.preset), self.outcomes[at].len());
            let (over, diverged) = (line.over, line.diverged);
            text += &format!(
                "{name},{network},{seeds},{over},{diverged},{mean},{deviation},{best},{speed},{low},{high},{difference},{source}\n"
            );
        }
        text
    }

    /// Returns the mean accuracy of each arm by epoch, with its standard deviation, over the
    /// finished runs that measured it.
    pub fn curves(&self) -> Vec<Means> {
        let curve = |runs: &Vec<Option<Outcome>>| {
            let mut epochs: Vec<u64> = runs.iter().flatten().flat_map(|run| &run.curve).map(|point| point.0).collect();
            epochs.sort_unstable();
            epochs.dedup();
            let at = |epoch: u64| {
                let points = runs.iter().flatten().flat_map(|run| &run.curve).filter(|point| point.0 == epoch);
                let values: Vec<_> = points.map(|point| point.1).collect();
                Some((epoch, mean(&values)?, deviation(&values)))
            };
            epochs.into_iter().filter_map(at).collect()
        };
        self.outcomes.iter().map(curve).collect()
    }

    /// Formats [`Table::curves`] as CSV, one line per arm and epoch.
    pub fn curves_csv(&self) -> String {
        let mut text = "arm,epoch,mean_percent,deviation_percent\n".to_string();
        for (arm, curve) in self.experiment.arms.iter().zip(self.curves()) {
            for (epoch, mean, deviation) in curve {
                let deviation = deviation.map_or(String::new(), |deviation| format!("{deviation:.4}"));
                text += &format!("{},{epoch},{mean:.4},{deviation}\n", arm.name);
            }
        }
        text
    }
}

fn signed(value: f64) -> String {
    match format!("{value:+.2}").as_str() {
        "+0.00" | "-0.00" => "0".to_string(),
        text => text.replace('-', "−"),
    }
}
