//! The difference between two profiles: kernels that became slower, as opposed to noise.
//!
//! The times of one launch in two runs differ for three reasons, of which only the last is of
//! interest:
//!
//! - load on the whole machine: a factor common to all launches, the median of their ratios;
//! - chance: the standard error of a quantile, estimated from the spread of its samples within a
//!   run, and the scatter of the ratios of launches of similar length between the runs (their
//!   median absolute deviation), which captures slow changes of the machine that the spread within
//!   a run does not;
//! - the kernel.
//!
//! Other load on a machine only adds time, and in bursts it shifts a median as much as a kernel
//! that does its work twice. So each launch has two indicators for its least disturbed steps: its
//! shortest time and its 10th percentile. A launch has changed if the indicator with the smaller
//! error exceeds five times that error, the other one agrees with a change of at least a tenth, and
//! the change is a relevant share of the step.
//!
//! **Invariant:** only launches on the same device that do the same work are judged.

use super::{Launch, Profile};
use crate::backend::Device;
use crate::error::{Error, Result};
use crate::ops::Activity;
use serde::Serialize;
use std::collections::HashMap;

/// Number of standard errors that a change must exceed.
const ERRORS: f64 = 5.0;
/// Smallest change that is reported, as a ratio.
const LEAST_RATIO: f64 = 1.1;
/// Changes below this share of the step are ignored.
const LEAST_SHARE: f64 = 1e-3;
/// If noise typically reaches this ratio, that no change was found says little.
const NOISY: f64 = 1.5;

/// The result of comparing a launch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It takes longer.
    Slower,
    /// It is only in the second profile.
    New,
    /// It is only in the first profile.
    Gone,
    /// It takes less time.
    Faster,
    /// Its operands have other shapes, so its times are not compared.
    OtherWork,
    /// It was measured on another device, so its times are not compared.
    OtherDevice,
    /// The difference is within the noise.
    Same,
}

impl Verdict {
    /// Whether this is a change of a launch that was compared, or of the list of launches.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::Same | Self::OtherWork | Self::OtherDevice)
    }
}

/// One of the two profiles.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Side {
    /// Its file; empty if unknown.
    pub name: String,
    /// The device, with its driver.
    pub device: String,
    /// Number of steps of which each value is the median.
    pub steps: usize,
    /// When it was measured, if that is known.
    pub measured: Option<String>,
}

impl Side {
    fn of(profile: &Profile) -> Self {
        let driver = match profile.device.driver.as_str() {
            "" => String::new(),
            driver => format!(" (driver {driver})"),
        };
        let Profile { device, steps, measured, .. } = profile;
        Self { name: String::new(), device: format!("{device}{driver}"), steps: *steps, measured: measured.clone() }
    }
}

/// A launch in both profiles.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    /// The layer.
    pub layer: String,
    /// The kernel, as in the second profile.
    pub kernel: String,
    /// Its role within a step.
    pub phase: Activity,
    /// Medians; `None` if the launch is absent or was not visible to the clock.
    pub median_ns: [Option<u64>; 2],
    /// Ratio of the second time to the first, with the machine's factor removed; 1 if unknown.
    pub ratio: f64,
    /// The ratio that noise may reach.
    pub noise: f64,
    /// The result of the comparison.
    pub verdict: Verdict,
}

/// The launches of a layer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LayerChange<'a> {
    /// The layer; empty for launches of the whole step.
    pub layer: &'a str,
    /// Sums of the medians that are known.
    pub ns: [u64; 2],
    /// The second sum minus the first times the machine's factor.
    pub difference_ns: f64,
    /// Its launches, the largest difference first.
    pub launches: Vec<&'a Change>,
}

/// A comparison of two profiles.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Diff {
    /// The profiles, the older one first.
    pub sides: [Side; 2],
    /// Name of the recipe.
    pub recipe: String,
    /// Images in a step.
    pub batch: usize,
    /// The factor by which everything takes longer in the second profile.
    pub machine: f64,
    /// Durations of uninstrumented steps.
    pub step_ns: [u64; 2],
    /// Every launch, the most important first.
    pub changes: Vec<Change>,
    /// Notes needed to read the comparison: different devices, different timers.
    pub notes: Vec<String>,
}

impl Diff {
    /// Returns the launches with this verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.verdict == verdict)
    }

    /// Whether any launch was compared, so that the machine's factor is known.
    pub fn is_judged(&self) -> bool {
        let compared = |change: &Change| matches!(change.verdict, Verdict::Slower | Verdict::Faster | Verdict::Same);
        self.changes.iter().any(compared)
    }

    /// Returns what was found, in a sentence or two.
    pub fn conclusion(&self) -> String {
        let count = |verdict| self.with(verdict).count();
        let launches = |count: usize| format!("{count} launch{}", if count == 1 { "" } else { "es" });
        if count(Verdict::OtherDevice) > 0 {
            return "the devices differ, so no launch is judged: the times are those of two devices".into();
        }
        let (same, other) = (count(Verdict::Same), count(Verdict::OtherWork));
        let mut noise: Vec<_> = self.with(Verdict::Same).map(|change| change.noise).collect();
        noise.sort_by(f64::total_cmp);
        let typical = noise.get(noise.len() / 2).copied().unwrap_or(1.0);
        let found = match self.changes.iter().any(|change| change.verdict.is_change()) {
            _ if same == 0 => String::new(),
            _ if typical >= NOISY => format!(
                "too noisy to tell for {}: only changes above {typical:.1}× would show; measure with more --steps",
                launches(same)
            ),
            true => format!("the differences of {} are within the noise, typically {typical:.2}×", launches(same)),
            false => format!(
                "no launch became slower or faster: the differences of {} are within the noise; a change is detected here from about {typical:.2}×",
                launches(same)
            ),
        };
        let work = match other {
            0 => String::new(),
            other => format!("{} with other shapes or bits: different work, not compared", launches(other)),
        };
        [found, work].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Returns the difference of a launch's medians without the machine's factor; an unknown median
    /// counts as zero.
    pub fn difference_ns(&self, change: &Change) -> f64 {
        let [a, b] = change.median_ns.map(|ns| ns.unwrap_or(0) as f64);
        b - a * self.machine
    }

    /// Returns the layers, the largest difference first.
    pub fn layers(&self) -> Vec<LayerChange<'_>> {
        let mut layers: Vec<LayerChange<'_>> = Vec::new();
        for change in &self.changes {
            let at = layers.iter().position(|known| known.layer == change.layer).unwrap_or_else(|| {
                layers.push(LayerChange { layer: &change.layer, ns: [0; 2], difference_ns: 0.0, launches: Vec::new() });
                layers.len() - 1
            });
            let layer = &mut layers[at];
            (0..2).for_each(|i| layer.ns[i] = layer.ns[i].saturating_add(change.median_ns[i].unwrap_or(0)));
            layer.difference_ns += self.difference_ns(change);
            layer.launches.push(change);
        }
        let size = |difference: f64| difference.abs();
        for layer in &mut layers {
            let of = |change: &Change| size(self.difference_ns(change));
            layer.launches.sort_by(|a, b| of(b).total_cmp(&of(a)));
        }
        layers.sort_by(|a, b| size(b.difference_ns).total_cmp(&size(a.difference_ns)));
        layers
    }
}

/// Launches keyed by layer, operation, phase and index among launches with the same key.
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

/// Returns the indicators of a launch: its shortest time and its 10th percentile.
fn indicators(launch: &Launch) -> Option<[f64; 2]> {
    let ns = |ns: Option<u64>| Some(ns?.max(1) as f64);
    Some([ns(launch.min_ns)?, ns(launch.p10_ns)?])
}

/// Returns the relative standard errors of the indicators of `samples` durations.
fn errors(launch: &Launch, samples: usize) -> Option<[f64; 2]> {
    let ([min, p10], p25) = (indicators(launch)?, launch.p25_ns? as f64);
    let samples = samples.max(1) as f64;
    // The shortest of the samples exceeds the least possible time by about the gap between
    // neighbouring samples: a tenth of the samples lies between it and the 10th percentile. The
    // standard error of a quantile is sqrt(q (1 - q)) / density, here with the density of the
    // shortest quarter of the samples, which other load does not affect.
    Some([(p10 - min) / min / (0.1 * samples), 1.2 * (p25 - min) / p10 / samples.sqrt()])
}

/// Returns the middle value, or 0 if there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Returns whether two launches have operands of the same shapes, however floats and sums are stored; codes
/// of fewer bits are less work.
fn same_work(a: &Launch, b: &Launch) -> bool {
    let shape = |operand: &String| match operand.find('[') {
        Some(at) if !operand.starts_with('u') => operand[at..].to_string(),
        _ => operand.clone(),
    };
    let shapes = |launch: &Launch| launch.reads.iter().chain([&launch.writes]).map(shape).collect::<Vec<_>>();
    shapes(a) == shapes(b)
}

/// A launch that both profiles contain.
struct Pair<'a> {
    launches: [&'a Launch; 2],
    /// Logarithms of the ratios of its indicators.
    logs: [f64; 2],
    /// Their standard errors.
    errors: [f64; 2],
}

impl<'a> Pair<'a> {
    fn new([a, b]: [&'a Launch; 2], [a_steps, b_steps]: [usize; 2]) -> Option<Self> {
        let (before, after) = (indicators(a)?, indicators(b)?);
        let (of_a, of_b) = (errors(a, a_steps)?, errors(b, b_steps)?);
        let [logs, errors] = [[0, 1].map(|i| (after[i] / before[i]).ln()), [0, 1].map(|i| of_a[i].hypot(of_b[i]))];
        Some(Self { launches: [a, b], logs, errors })
    }

    /// Returns the logarithm of the geometric mean of its medians.
    fn length(&self) -> f64 {
        self.launches.iter().map(|launch| (launch.median_ns.unwrap_or(0).max(1) as f64).ln()).sum::<f64>() / 2.0
    }

    /// Returns whether its share of the step is large enough to say something about the machine.
    fn matters(&self, step_ns: f64) -> bool {
        self.launches.iter().all(|launch| launch.median_ns.unwrap_or(0) as f64 > LEAST_SHARE * step_ns)
    }
}

/// Number of launches of similar length from which the scatter of one is estimated: long launches
/// scatter less.
const PEERS: usize = 15;

/// What all launches share: for each indicator, the machine's factor, and each launch's length and
/// deviation from it, as logarithms, in ascending order of length.
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

    /// Returns the scatter of a launch's peers for one indicator: their median absolute deviation,
    /// scaled to a standard deviation.
    fn scatter(&self, witness: usize, length: f64) -> f64 {
        let all = &self.deviations[witness];
        let at = all.partition_point(|&(other, _)| other < length);
        let first = at.saturating_sub(PEERS / 2).min(all.len().saturating_sub(PEERS));
        let peers = all.iter().skip(first).take(PEERS);
        1.4826 * median(peers.map(|&(_, deviation)| deviation).collect())
    }

    /// Returns the ratio of a launch without the machine's factor, the ratio that noise may reach,
    /// and the verdict.
    fn compare(&self, pair: &Pair<'_>, step_ns: f64) -> (f64, f64, Verdict) {
        let deviation = [0, 1].map(|i| pair.logs[i] - self.factor[i]);
        let error = [0, 1].map(|i| pair.errors[i].hypot(self.scatter(i, pair.length())));
        let (sure, other) = if error[0] < error[1] { (0, 1) } else { (1, 0) };
        let least = LEAST_RATIO.ln();
        let noise = (ERRORS * error[sure]).max(least);
        let [a, b] = pair.launches.map(|launch| indicators(launch).map_or(0.0, |ns| ns[sure]));
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

/// Compares two profiles of the same recipe and batch size, the older one first.
///
/// # Errors
///
/// Returns an error if they are of different recipes or batch sizes.
pub fn diff(a: &Profile, b: &Profile) -> Result<Diff> {
    let what = |profile: &Profile| format!("{} at batch {}", profile.recipe, profile.batch);
    if what(a) != what(b) {
        return Err(Error::Usage(format!(
            "the first profile is of {}, the second of {}; compare profiles of the same recipe and batch size",
            what(a),
            what(b)
        )));
    }
    let (before, after) = (keyed(a), keyed(b));
    let of_before: HashMap<_, _> = before.iter().copied().collect();
    let of_after: HashMap<_, _> = after.iter().copied().collect();
    let step_ns = a.launches_ns.max(b.launches_ns) as f64;
    let adapter = |profile: &Profile| {
        let Device { adapter, backend, kind, .. } = profile.device.clone();
        [adapter, backend, kind]
    };
    let same_device = adapter(a) == adapter(b);
    let pair = |key, launch| {
        let old = *of_before.get(key)?;
        if same_device && same_work(old, launch) { Pair::new([old, launch], [a.steps, b.steps]) } else { None }
    };
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
            let unknown = match same_device {
                false => Verdict::OtherDevice,
                true if !same_work(old, launch) => Verdict::OtherWork,
                true => Verdict::Same,
            };
            let compared = pair(key, launch).map_or((1.0, 1.0, unknown), |pair| machine.compare(&pair, step_ns));
            change(launch, [old.median_ns, launch.median_ns], compared)
        }
    });
    let gone = before.iter().filter(|(key, _)| !of_after.contains_key(key));
    let gone = gone.map(|(_, launch)| change(launch, [launch.median_ns, None], (1.0, 1.0, Verdict::Gone)));
    let mut diff = Diff {
        sides: [a, b].map(Side::of),
        recipe: b.recipe.clone(),
        batch: b.batch,
        machine: machine.factor[1].exp(),
        step_ns: [a.step_ns, b.step_ns],
        changes: Vec::new(),
        notes: notes(a, b),
    };
    let mut changes: Vec<_> = kept.chain(gone).collect();
    let size = |change: &Change| diff.difference_ns(change).abs();
    changes.sort_by(|a, b| a.verdict.cmp(&b.verdict).then(size(b).total_cmp(&size(a))));
    diff.changes = changes;
    Ok(diff)
}

/// Returns notes on what makes two profiles hard to compare.
fn notes(a: &Profile, b: &Profile) -> Vec<String> {
    let mut notes = Vec::new();
    let [before, after] = [a, b].map(|profile| Side::of(profile).device);
    if before != after {
        notes.push(format!("the devices or their drivers differ: {before} and {after}"));
    }
    if a.timer.by_host() != b.timer.by_host() {
        notes.push(
            "one was timed by the device, the other by the host's clock, which includes the overhead of a submission"
                .into(),
        );
    }
    if a.plan != b.plan {
        notes.push("the plans differ: different kernels, shapes or buffers".into());
    }
    let fewest = a.steps.min(b.steps);
    if fewest < 10 {
        let were = if fewest == 1 { "step was" } else { "steps were" };
        notes.push(format!("only {fewest} {were} measured: --steps 20 or more detects smaller changes"));
    }
    notes
}

#[cfg(test)]
mod tests;
