//! Conformance: every sample of every operation on a device against its twin.
//!
//! Integers and bits must agree exactly, floats within the operation's bound. Outputs are filled with a pattern first and guard words lie behind them, so
//! that an element that is not written, or a word too many, shows. An operation that checks its operands must find nothing there, and a NaN or an infinity when it is put in: drivers differ in
//! what they make of comparisons with NaN.

use crate::backend::Backend;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::Typed;
use crate::kernel::{FAULT, Operand};
use crate::ops::{self, Sample};
use crate::plan::lower;
use crate::tensor::{Encoding, LANES, Tensor, TensorType};

/// Words behind every output that must not change.
const GUARD_WORDS: usize = 64;
const PATTERN: u32 = 0xa5a5_a5a5;

/// How one operation fared.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The operation's stem.
    pub stem: &'static str,
    /// The kernel, where the operation has several.
    pub kernel: Option<&'static str>,
    /// Samples that were run.
    pub samples: usize,
    /// Largest |device − twin| relative to the twin's largest magnitude.
    pub worst: f32,
    /// The bound on it; 0 means exact.
    pub bound: f32,
    /// What went wrong, if anything, in words.
    pub failure: Option<String>,
}

impl Outcome {
    /// The operation, and the kernel where there are several.
    pub fn name(&self) -> String {
        self.kernel.map_or(self.stem.to_string(), |kernel| format!("{} ({kernel})", self.stem))
    }
}

/// Runs all samples of the operations that are wanted, with every kernel that the device can run; one outcome for each operation and kernel, in the order of the list.
///
/// # Errors
/// When the device is lost.
pub async fn run(backend: &mut dyn Backend, wanted: impl Fn(&str) -> bool) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let samples = ops::samples().into_iter().filter(|sample| wanted(sample.op.stem()));
    for (number, sample) in samples.enumerate() {
        let stem = sample.op.stem();
        let bound = sample.op.tolerance(&sample.expected().ty);
        for (kernel, caps) in sample.variants(backend.caps()) {
            let (error, failure) = match check(backend, &caps, &sample, NOT_FINITE[number % 3]).await? {
                Ok(error) => (error, None),
                Err(failure) => (f32::INFINITY, Some(failure)),
            };
            match outcomes.iter_mut().find(|outcome| outcome.stem == stem && outcome.kernel == kernel) {
                Some(outcome) => {
                    outcome.samples += 1;
                    outcome.worst = outcome.worst.max(error);
                    outcome.bound = outcome.bound.max(bound);
                    outcome.failure = outcome.failure.take().or(failure);
                }
                None => outcomes.push(Outcome { stem, kernel, samples: 1, worst: error, bound, failure }),
            }
        }
    }
    Ok(outcomes)
}

/// What a device made of a sample.
struct Computed {
    ty: TensorType,
    /// The output, guard words included.
    words: Vec<u32>,
    /// The operands that the operation checks.
    checked: Vec<Operand>,
    /// Whether a check has failed, named the operation, or named another one.
    fault: Fault,
}

#[derive(PartialEq, Debug)]
enum Fault {
    None,
    Found,
    Misnamed(u32),
}

async fn compute(backend: &mut dyn Backend, caps: &Caps, sample: &Sample) -> Result<Computed> {
    let types: Vec<_> = sample.inputs.iter().map(|tensor| tensor.ty.clone()).collect();
    let (graph, out) = ops::alone(&sample.op, &types)?;
    let mut plan = lower(&graph, caps)?;
    let ty = graph.ty(out).clone();
    let place = &mut plan.outputs[0].place;
    place.ty = TensorType::new(&[(ty.words() + GUARD_WORDS).next_multiple_of(4)], Encoding::U32);
    let guarded_words = place.ty.words();
    plan.slots[place.slot].words = guarded_words;
    let checked = plan.nodes[out.0].checked.clone();
    let (checks, rank) = (plan.port(FAULT).is_some(), plan.rank(out.0));
    let id = backend.load(plan).await?;
    if checks {
        backend.write(id, FAULT, &[0; LANES]);
    }
    let mut before = vec![PATTERN; guarded_words];
    if let Some(index) = sample.op.in_place() {
        before[..ty.words()].copy_from_slice(&sample.inputs[index].words);
    }
    for (i, tensor) in sample.inputs.iter().enumerate() {
        if sample.op.in_place() != Some(i) {
            backend.write(id, &format!("in{i}"), &tensor.words);
        }
    }
    backend.write(id, "out", &before);
    backend.run(id)?;
    let words = backend.read(id, "out").await?;
    let word = if checks { backend.read(id, FAULT).await?[0] } else { 0 };
    let fault = match word {
        0 => Fault::None,
        word if word == rank => Fault::Found,
        word => Fault::Misnamed(word),
    };
    Ok(Computed { ty, words, checked, fault })
}

/// Numbers that an operation must find where it checks an operand: one in each sample, in turn.
const NOT_FINITE: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Puts a number that is not finite where the operation checks, and looks whether the device finds it.
async fn check_faults(
    backend: &mut dyn Backend,
    caps: &Caps,
    sample: &Sample,
    checked: &[Operand],
    value: f32,
) -> Result<Result<(), String>> {
    for operand in checked {
        // What is updated comes from the first input.
        let index = if let Operand::Input(index) = *operand { index } else { 0 };
        let mut sample = sample.clone();
        sample.inputs[index].words[0] = value.to_bits();
        let fault = compute(backend, caps, &sample).await?.fault;
        if fault != Fault::Found {
            return Ok(Err(format!("{value} in input {index}, which is checked: {fault:?}")));
        }
    }
    Ok(Ok(()))
}

async fn check(backend: &mut dyn Backend, caps: &Caps, sample: &Sample, value: f32) -> Result<Result<f32, String>> {
    let Computed { ty, mut words, checked, fault } = compute(backend, caps, sample).await?;
    let guards = words.split_off(ty.words());
    let shapes: Vec<_> = sample.inputs.iter().map(|tensor| tensor.ty.to_string()).collect();
    let case = format!("{:?} of {}", sample.op, shapes.join(", "));
    if guards.iter().any(|&word| word != PATTERN) {
        return Ok(Err(format!("{case}: writes behind its output")));
    }
    if fault != Fault::None {
        return Ok(Err(format!("{case}: numbers that are finite are taken for others: {fault:?}")));
    }
    let compared = match compare(&sample.expected(), &Tensor { ty, words }, sample) {
        Ok(error) => check_faults(backend, caps, sample, &checked, value).await?.map(|()| error),
        failure => failure,
    };
    Ok(compared.map_err(|what| format!("{case}: {what}")))
}

/// The relative error, or what is wrong.
fn compare(expected: &Tensor, got: &Tensor, sample: &Sample) -> Result<f32, String> {
    if expected.words.iter().all(|&word| word == 0) {
        return Err("the expected output is all zero: the sample shows nothing".to_string());
    }
    if expected.ty.is_exact() {
        return match (0..expected.words.len()).find(|&i| expected.words[i] != got.words[i]) {
            None => Ok(0.0),
            Some(i) => Err(format!("word {i} is {:#x}, not {:#x}", got.words[i], expected.words[i])),
        };
    }
    let (expected, got) = (expected.view().numbers(), got.view().numbers());
    let scale = expected.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    let mut worst = 0.0f32;
    for (i, (&e, &g)) in expected.iter().zip(got.iter()).enumerate() {
        if !g.is_finite() {
            return Err(format!("element {i} is {g}, not {e}"));
        }
        worst = worst.max((e - g).abs() / scale);
    }
    let bound = sample.op.tolerance(&sample.expected().ty);
    if worst > bound { Err(format!("differs by {worst:e} of the largest value, bound {bound:e}")) } else { Ok(worst) }
}
