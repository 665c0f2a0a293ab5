//! Times every kernel of one operation over values of one size, such as its number of channels.
//!
//! Each value is an operation of its own, whose kernels alternate in one measurement
//! ([`super::candidates`]).

mod request;

pub use request::{Request, Size};

use super::candidates::{self, Timed};
use super::{Bound, DevicePeaks, bound};
use crate::backend::{Backend, Device};
use crate::error::{Error, Result};
use crate::kernel::Cost;
use crate::ops;
use crate::plan::lower;
use crate::version::{self, Origin};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Value of the field `format` in every sweep.
pub const FORMAT: &str = "halfwave-kernel-sweep";
/// Version of the format. It increases when the meaning of a field changes or a field is removed,
/// not when one is added.
pub const VERSION: u32 = 1;

/// A sweep, as written by `halfwave profile --kernel --json`. All durations are integer nanoseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// Always "halfwave-kernel-sweep".
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Version of halfwave.
    pub halfwave: String,
    /// Commit, command line, and name of the computer.
    #[serde(flatten)]
    pub origin: Origin,
    /// The device.
    pub device: Device,
    /// Measured peaks of the device.
    pub ceilings: DevicePeaks,
    /// The operation.
    pub stem: String,
    /// The size that varies.
    pub size: Size,
    /// The other sizes of the operation.
    pub sizes: BTreeMap<Size, usize>,
    /// Number of rounds of which every value is the median.
    pub rounds: usize,
    /// One for each value.
    pub points: Vec<Point>,
}

/// The kernels for one value of the size.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The value.
    pub value: usize,
    /// Types of the operation's inputs.
    pub reads: Vec<String>,
    /// Type of its output.
    pub writes: String,
    /// Float operations; a multiply-add counts as two.
    pub float_ops: u64,
    /// Bit operations; a one-bit multiply-add counts as two.
    pub bit_ops: u64,
    /// The kernel that a plan would use, by estimate.
    pub estimate: String,
    /// The measured kernels, the fastest first.
    pub kernels: Vec<Variant>,
}

/// A measured kernel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Variant {
    /// Its time.
    #[serde(flatten)]
    pub timed: Timed,
    /// The resource that bounds it on this device.
    pub bound: Bound,
    /// The time given by that bound divided by the measured time; above 1 if caches exceed the
    /// measured peak.
    pub fraction_of_bound: f64,
}

impl Point {
    /// Returns the work of the operation and whether it is on bits: the larger of its two numbers.
    pub fn work(&self) -> (u64, bool) {
        (self.float_ops.max(self.bit_ops), self.bit_ops > self.float_ops)
    }

    /// Returns the kernel that a plan would use, if it was measured.
    pub fn estimated(&self) -> Option<&Variant> {
        self.kernels.iter().find(|kernel| kernel.timed.kernel == self.estimate)
    }
}

/// A point before its kernels are compared with the device's peaks.
pub struct Measured {
    point: Point,
    kernels: Vec<Timed>,
}

/// Times the kernels of a request in `rounds` rounds for each value. `backend` must have been opened
/// without choices of kernels.
///
/// `progress` receives the label of each kernel before it starts.
///
/// # Errors
///
/// Returns an error if an operand exceeds what the device can bind, if the device does not offer the
/// requested kernel for any value, or if the device is lost.
pub async fn measure(
    backend: &mut dyn Backend,
    request: &Request,
    rounds: usize,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Measured>> {
    let caps = backend.caps().clone();
    let mut plans = Vec::new();
    let mut offered: Vec<&str> = Vec::new();
    for &value in &request.values {
        let (op, inputs) = request.operation(value)?;
        let (graph, out) = ops::single_op_graph(&op, &inputs)?;
        if let Some(large) = inputs.iter().chain([graph.ty(out)]).find(|ty| ty.bytes() as u64 > caps.max_binding_bytes)
        {
            return Err(Error::Usage(format!(
                "{}={value}: {large} takes {} MiB, and this device binds at most {}; choose smaller sizes with --sweep or --size",
                request.size,
                large.bytes() >> 20,
                caps.max_binding_bytes >> 20
            )));
        }
        let plan = lower(&graph, &caps)?;
        offered.extend(plan.nodes[out.0].offer.iter().map(|offer| offer.kernel));
        plans.push((value, plan));
    }
    let mut all = Vec::new();
    for (at, (value, plan)) in plans.iter().enumerate() {
        let [found] = &candidates::find(backend, plan)[..] else { continue };
        let wanted = |kernel: &&str| request.variant.as_deref().is_none_or(|variant| variant == *kernel);
        let kernels = found.offers.iter().map(|offer| (offer.kernel, offer.parts));
        let choices: Vec<_> = kernels
            .filter(|(kernel, _)| wanted(kernel))
            .map(|(kernel, parts)| candidates::choice(kernel, Some(parts)))
            .collect();
        offered.extend(found.offers.iter().map(|offer| offer.kernel));
        let place = format!("[{}/{}] {} {}={value}", at + 1, plans.len(), request.stem, request.size);
        let kernels =
            found.time(backend, &choices, rounds, &mut |kernel| progress(&format!("{place}: {kernel}"))).await?;
        let heavy = found.timed(plan, Vec::new());
        let point = Point {
            value: *value,
            reads: heavy.reads,
            writes: heavy.writes,
            float_ops: heavy.float_ops,
            bit_ops: heavy.bit_ops,
            estimate: found.offers.first().map_or(String::new(), |offer| offer.kernel.to_string()),
            kernels: Vec::new(),
        };
        all.push(Measured { point, kernels });
    }
    match &request.variant {
        Some(variant) if all.iter().all(|measured| measured.kernels.is_empty()) => {
            offered.sort_unstable();
            offered.dedup();
            Err(Error::Usage(format!(
                "this device has no kernel {}_{variant} for these sizes; it has {}",
                request.stem,
                offered.join(", ")
            )))
        }
        _ => Ok(all),
    }
}

impl Sweep {
    /// Creates a sweep from the measurement of a request.
    pub fn new(
        request: &Request,
        rounds: usize,
        measured: Vec<Measured>,
        device: Device,
        ceilings: DevicePeaks,
    ) -> Self {
        let points = measured.into_iter().map(|measured| measured.against(&ceilings)).collect();
        Self {
            format: FORMAT.to_string(),
            version: VERSION,
            halfwave: version::VERSION.to_string(),
            origin: Origin::here(),
            device,
            ceilings,
            stem: request.stem.to_string(),
            size: request.size,
            sizes: request.others(),
            rounds,
            points,
        }
    }

    /// Returns the sweep as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a sweep is plain data") + "\n"
    }

    /// Returns the sweep as comma-separated values with a row for each kernel and value, each of
    /// which names device, driver, commit and command line.
    pub fn to_csv(&self) -> String {
        let sizes: Vec<_> = self.sizes.keys().map(ToString::to_string).collect();
        let mut text = format!(
            "stem,{},{},kernel,parts,estimate,exactness,median_ns,min_ns,spread_ns,float_ops,bit_ops,matrix_ops,bytes,bound,fraction_of_bound,rounds,adapter,backend,driver,halfwave,commit,command\n",
            self.size,
            sizes.join(",")
        );
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_string();
        let values: Vec<_> = self.sizes.values().map(ToString::to_string).collect();
        let Device { adapter, backend, driver, .. } = &self.device;
        let commit = self.origin.commit.as_deref().unwrap_or_default();
        let origin =
            [adapter, backend, driver, &self.halfwave, commit, &self.origin.command.join(" ")].map(quoted).join(",");
        for point in &self.points {
            for Variant { timed, bound, fraction_of_bound } in &point.kernels {
                let Timed { kernel, parts, median_ns, min_ns, spread_ns, matrix_ops, bytes, .. } = timed;
                let [exactness, bound] = [serde_json::to_value(timed.exactness), serde_json::to_value(bound)]
                    .map(|value| word(value.unwrap_or_default()));
                text += &format!(
                    "{},{},{},{kernel},{parts},{},{exactness},{median_ns},{min_ns},{spread_ns},{},{},{matrix_ops},{bytes},{bound},{fraction_of_bound},{},{origin}\n",
                    self.stem,
                    point.value,
                    values.join(","),
                    *kernel == point.estimate,
                    point.float_ops,
                    point.bit_ops,
                    self.rounds,
                );
            }
        }
        text
    }
}

/// Quotes a cell that contains a separator.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_string() }
}

impl Measured {
    /// Compares the kernels with the device's peaks, and sorts them by time.
    fn against(self, ceilings: &DevicePeaks) -> Point {
        let Self { point, kernels } = self;
        let variant = |timed: Timed| {
            let (float_ops, bit_ops) = (point.float_ops, point.bit_ops);
            let cost = Cost { bytes: timed.bytes, float_ops, bit_ops, matrix_ops: timed.matrix_ops, ..Cost::default() };
            let limit = bound::limit(&cost, ceilings);
            let fraction_of_bound = bound::rounded(limit.ns / timed.median_ns.max(1) as f64);
            Variant { timed, bound: limit.bound, fraction_of_bound }
        };
        let mut kernels: Vec<_> = kernels.into_iter().map(variant).collect();
        kernels.sort_by_key(|kernel| kernel.timed.median_ns);
        Point { kernels, ..point }
    }
}
