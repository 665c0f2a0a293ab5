//! What got slower between two profiles, and what is only noise.
//!
//! Times of one launch in two runs differ for three reasons, and only the last is news:
//!
//! - the whole machine was busier: a factor that all launches share, the median of their ratios;
//! - chance: the standard error of a quantile, from the spread of its samples within a run, and what the ratios of launches of about its length scatter by between the
//!   runs (their median absolute deviation), which sees the slow changes of a machine that no spread within a run does;
//! - the kernel.
//!
//! Other work on a machine only ever adds time, and where it comes in bursts it moves a median as far as a kernel that does its work twice. So each launch has two witnesses that
//! look at its least disturbed steps: its shortest time and its tenth percentile. A launch has changed where the witness with the smaller error says so beyond five times
//! that error, where the other agrees that it is a tenth at least, and where it is a share of the step that matters.

use super::{Launch, Profile};
use crate::error::{Error, Result};
use crate::ops::Activity;
use std::collections::HashMap;

/// Standard errors that a change must exceed.
const ERRORS: f64 = 5.0;
/// The smallest change that is told, as a ratio.
const LEAST_RATIO: f64 = 1.1;
/// Changes below this share of the step do not matter.
const LEAST_SHARE: f64 = 1e-3;

/// What happened to a launch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It takes longer.
    Slower,
    /// Only the second profile has it.
    New,
    /// Only the first profile has it.
    Gone,
    /// It takes less time.
    Faster,
    /// Nothing that chance does not explain.
    Same,
}

/// A launch in both profiles.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The layer.
    pub layer: String,
    /// The kernel, as the second profile has it.
    pub kernel: String,
    /// What it does within a step.
    pub phase: Activity,
    /// Medians; nothing where it is not, or not seen.
    pub median_ns: [Option<u64>; 2],
    /// How much longer the second takes, the machine's factor taken out; 1 where it cannot be known.
    pub ratio: f64,
    /// The ratio that chance alone may reach.
    pub noise: f64,
    /// What that means.
    pub verdict: Verdict,
}

/// Two profiles side by side.
#[derive(Clone, PartialEq, Debug)]
pub struct Diff {
    /// How much longer everything takes in the second.
    pub machine: f64,
    /// Uninstrumented steps.
    pub step_ns: [u64; 2],
    /// Every launch, what matters first.
    pub changes: Vec<Change>,
    /// What a reader has to know: other devices, other timers.
    pub notes: Vec<String>,
}

impl Diff {
    /// The launches with this verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.verdict == verdict)
    }
}

/// Launches by layer, operation, phase and number among their equals.
type Keyed<'a> = Vec<((&'a str, &'a str, Activity, usize), &'a Launch)>;

fn keyed(profile: &Profile) -> Keyed<'_> {
    let mut seen = HashMap::new();
    let key = |launch: &'_ Launch| (launch.layer.as_str().to_owned(), launch.stem.clone(), launch.phase);
    let keyed = profile.launches.iter().map(|launch| {
        let count = seen.entry(key(launch)).or_insert(0);
        *count += 1;
        ((launch.layer.as_str(), launch.stem.as_str(), launch.phase, *count), launch)
    });
    keyed.collect()
}

/// The witnesses of a launch: its shortest time and its tenth percentile.
fn witnesses(launch: &Launch) -> Option<[f64; 2]> {
    let ns = |ns: Option<u64>| Some(ns?.max(1) as f64);
    Some([ns(launch.min_ns)?, ns(launch.p10_ns)?])
}

/// Relative standard errors of the witnesses of `samples` durations.
fn errors(launch: &Launch, samples: usize) -> Option<[f64; 2]> {
    let ([min, p10], p25) = (witnesses(launch)?, launch.p25_ns? as f64);
    let samples = samples.max(1) as f64;
    // The shortest lies above the least possible by about the gap between neighbours: a tenth of the samples lie between it and the tenth percentile. Of a quantile it is
    // sqrt(q (1 - q)) / density, here with the density of the quarter of the samples that are shortest: whatever else a machine did meanwhile is not among them.
    Some([(p10 - min) / min / (0.1 * samples), 1.2 * (p25 - min) / p10 / samples.sqrt()])
}

/// The middle value; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A launch that both profiles saw.
struct Pair<'a> {
    launches: [&'a Launch; 2],
    /// Logarithms of the ratios of its witnesses.
    logs: [f64; 2],
    /// Their standard errors.
    errors: [f64; 2],
}

impl<'a> Pair<'a> {
    fn new([a, b]: [&'a Launch; 2], [a_steps, b_steps]: [usize; 2]) -> Option<Self> {
        let (before, after) = (witnesses(a)?, witnesses(b)?);
        let (of_a, of_b) = (errors(a, a_steps)?, errors(b, b_steps)?);
        let [logs, errors] = [[0, 1].map(|i| (after[i] / before[i]).ln()), [0, 1].map(|i| of_a[i].hypot(of_b[i]))];
        Some(Self { launches: [a, b], logs, errors })
    }

    /// The logarithm of its medians' geometric mean.
    fn length(&self) -> f64 {
        self.launches.iter().map(|launch| (launch.median_ns.unwrap_or(0).max(1) as f64).ln()).sum::<f64>() / 2.0
    }

    /// Whether it takes a share of the step that can tell something of the machine.
    fn matters(&self, step_ns: f64) -> bool {
        self.launches.iter().all(|launch| launch.median_ns.unwrap_or(0) as f64 > LEAST_SHARE * step_ns)
    }
}

/// Launches of about the same length that tell how far chance scatters one of them: long ones scatter less.
const PEERS: usize = 15;

/// What all launches share: by witness, the machine's factor, and each launch's length and deviation from it, as logarithms, the shortest first.
struct Machine {
    factor: [f64; 2],
    deviations: [Vec<(f64, f64)>; 2],
}

impl Machine {
    fn of(pairs: &[&Pair<'_>]) -> Self {
        let factor = [0, 1].map(|i| median(pairs.iter().map(|pair| pair.logs[i]).collect()));
        let deviations = [0, 1].map(|i| {
            let away = pairs.iter().map(|pair| (pair.length(), (pair.logs[i] - factor[i]).abs()));
            let mut away: Vec<_> = away.collect();
            away.sort_by(|a, b| a.0.total_cmp(&b.0));
            away
        });
        Self { factor, deviations }
    }

    /// The scatter of a launch's peers by one witness: their median absolute deviation, as a standard deviation.
    fn scatter(&self, witness: usize, length: f64) -> f64 {
        let all = &self.deviations[witness];
        let at = all.partition_point(|&(other, _)| other < length);
        let first = at.saturating_sub(PEERS / 2).min(all.len().saturating_sub(PEERS));
        let peers = all.iter().skip(first).take(PEERS);
        1.4826 * median(peers.map(|&(_, deviation)| deviation).collect())
    }

    /// The ratio of a launch without the machine's factor, the ratio that chance may reach, and what follows.
    fn judge(&self, pair: &Pair<'_>, step_ns: f64) -> (f64, f64, Verdict) {
        let deviation = [0, 1].map(|i| pair.logs[i] - self.factor[i]);
        let error = [0, 1].map(|i| pair.errors[i].hypot(self.scatter(i, pair.length())));
        let (sure, other) = if error[0] < error[1] { (0, 1) } else { (1, 0) };
        let least = LEAST_RATIO.ln();
        let noise = (ERRORS * error[sure]).max(least);
        let [a, b] = pair.launches.map(|launch| witnesses(launch).map_or(0.0, |ns| ns[sure]));
        let matters = (b - a * self.factor[sure].exp()).abs() > LEAST_SHARE * step_ns;
        let beyond = |sign: f64| matters && sign * deviation[sure] > noise && sign * deviation[other] > least;
        let verdict = match (beyond(1.0), beyond(-1.0)) {
            (true, _) => Verdict::Slower,
            (_, true) => Verdict::Faster,
            _ => Verdict::Same,
        };
        (deviation[sure].exp(), noise.exp(), verdict)
    }
}

/// Compares two profiles of the same recipe and batch, the older first.
///
/// # Errors
/// When they are of different recipes or batches.
pub fn diff(a: &Profile, b: &Profile) -> Result<Diff> {
    let what = |profile: &Profile| format!("{} at batch {}", profile.recipe, profile.batch);
    if what(a) != what(b) {
        return Err(Error::Usage(format!(
            "the first profile is of {}, the second of {}; compare profiles of one recipe at one batch",
            what(a),
            what(b)
        )));
    }
    let (before, after) = (keyed(a), keyed(b));
    let of_before: HashMap<_, _> = before.iter().copied().collect();
    let of_after: HashMap<_, _> = after.iter().copied().collect();
    let step_ns = a.launches_ns.max(b.launches_ns) as f64;
    let pair = |key, launch| Pair::new([*of_before.get(key)?, launch], [a.steps, b.steps]);
    let pairs: Vec<_> = after.iter().filter_map(|(key, launch)| pair(key, launch)).collect();
    let machine = Machine::of(&pairs.iter().filter(|pair| pair.matters(step_ns)).collect::<Vec<_>>());
    let change = |launch: &Launch, median_ns, (ratio, noise, verdict)| Change {
        layer: launch.layer.clone(),
        kernel: launch.kernel.clone(),
        phase: launch.phase,
        median_ns,
        ratio,
        noise,
        verdict,
    };
    let kept = after.iter().map(|(key, launch)| match of_before.get(key) {
        None => change(launch, [None, launch.median_ns], (1.0, 1.0, Verdict::New)),
        Some(old) => {
            let judged = pair(key, launch).map_or((1.0, 1.0, Verdict::Same), |pair| machine.judge(&pair, step_ns));
            change(launch, [old.median_ns, launch.median_ns], judged)
        }
    });
    let gone = before.iter().filter(|(key, _)| !of_after.contains_key(key));
    let gone = gone.map(|(_, launch)| change(launch, [launch.median_ns, None], (1.0, 1.0, Verdict::Gone)));
    let mut changes: Vec<_> = kept.chain(gone).collect();
    let factor = machine.factor[1].exp();
    let size = |change: &Change| {
        let [a, b] = change.median_ns.map(|ns| ns.unwrap_or(0) as f64);
        (b - a * factor).abs()
    };
    changes.sort_by(|a, b| a.verdict.cmp(&b.verdict).then(size(b).total_cmp(&size(a))));
    Ok(Diff { machine: factor, step_ns: [a.step_ns, b.step_ns], changes, notes: notes(a, b) })
}

/// What makes two profiles hard to compare.
fn notes(a: &Profile, b: &Profile) -> Vec<String> {
    let mut notes = Vec::new();
    let device = |profile: &Profile| format!("{}, {}", profile.device.adapter, profile.device.driver);
    if device(a) != device(b) {
        notes.push(format!("the devices differ: {} and {}", device(a), device(b)));
    }
    if a.timer.by_host() != b.timer.by_host() {
        notes.push(
            "one was timed by the device, the other by the host's clock, which adds what a submission costs".into(),
        );
    }
    if a.plan != b.plan {
        notes.push("the plans differ: other kernels, shapes or buffers".into());
    }
    let fewest = a.steps.min(b.steps);
    if fewest < 10 {
        notes.push(format!("{fewest} steps are few: --steps 20 or more tells smaller changes from noise"));
    }
    notes
}

#[cfg(test)]
mod tests;
