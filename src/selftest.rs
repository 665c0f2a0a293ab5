//! Conformance test: runs every case of every operation, and of operations that are computed
//! together, on a device and compares the results with the reference implementation (`reference`).
//!
//! Integers and bits must agree exactly, floats within the operation's bound. Outputs are filled
//! with a pattern first and followed by guard words, which reveals unwritten elements and
//! out-of-bounds writes. An operation that checks its operands must report nothing for finite
//! inputs, and must detect a NaN or an infinity put into them: drivers differ in how they compare
//! NaN.

mod halves;

use crate::backend::Backend;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::{Typed, Value};
use crate::halves::SEEN;
use crate::kernel::{FAULT, Operand};
use crate::ops::{self, fusion::Case};
use crate::plan::lower;
use crate::tensor::{Encoding, LANES, Tensor, TensorType};
use halves::Halves;
use serde::Serialize;

/// Words behind every output that must not change.
const GUARD_WORDS: usize = 64;
const PATTERN: u32 = 0xa5a5_a5a5;

/// Number of cases for a kernel where a plan would choose another kernel. The first nine of a
/// convolution cover all kinds of windows; later ones vary the kinds of codes, which all of its
/// kernels read in the same way.
const ENOUGH: usize = 9;

/// Number of cases that are also computed with floats of images in half precision: for the kernel
/// that a plan would choose first, and for the others.
const HALVED: [usize; 2] = [2, 1];

/// The result for one operation.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The operation's stem, or the common name of operations that are computed together.
    pub stem: &'static str,
    /// The kernel, if the operation has several.
    pub kernel: Option<&'static str>,
    /// Whether floats of images were stored in half precision ([`crate::halves`]).
    pub half: bool,
    /// Number of samples that were run.
    pub samples: usize,
    /// Largest |device − reference|, relative to the largest magnitude in the reference.
    pub worst: f32,
    /// Bound on that error; 0 means exact.
    pub bound: f32,
    /// Description of the failure, if there was one.
    pub failure: Option<String>,
}

impl Outcome {
    /// Returns the name of the operation, the kernel if there are several, and the storage format
    /// of floats.
    pub fn name(&self) -> String {
        let how = [self.kernel, self.half.then_some("f16")].into_iter().flatten().collect::<Vec<_>>().join(", ");
        if how.is_empty() { self.stem.to_string() } else { format!("{} ({how})", self.stem) }
    }
}

/// Runs all cases whose names are wanted, with every kernel that the device supports; the kernels
/// that a plan would choose run in all of their cases. Returns one outcome per operation and
/// kernel, in the order of the list, followed by those of operations that are computed together.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub async fn run(backend: &mut dyn Backend, wanted: impl Fn(&str) -> bool) -> Result<Vec<Outcome>> {
    run_with_progress(backend, wanted, |_| ()).await
}

/// Like [`run`], but reports each outcome as soon as it is known.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub async fn run_with_progress(
    backend: &mut dyn Backend,
    wanted: impl Fn(&str) -> bool,
    heard: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    run_kernels(backend, wanted, |_| true, usize::MAX, heard).await
}

/// Like [`run_with_progress`], but runs only the wanted kernels of operations that have several, and
/// limits the number of samples of each kernel. The limit saves time, most of which goes into
/// compiling kernels for shapes.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub async fn run_kernels(
    backend: &mut dyn Backend,
    wanted: impl Fn(&str) -> bool,
    wanted_kernel: impl Fn(&str) -> bool,
    most: usize,
    heard: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let cases = ops::fusion::cases().into_iter().filter(|case| wanted(case.name));
    run_cases(backend, cases, wanted_kernel, most, heard).await
}

/// Runs these cases with every kernel that the device supports.
///
/// # Errors
///
/// Returns an error if the device is lost.
pub(crate) async fn run_given(
    backend: &mut dyn Backend,
    cases: impl IntoIterator<Item = Case>,
) -> Result<Vec<Outcome>> {
    run_cases(backend, cases, |_| true, usize::MAX, |_| ()).await
}

async fn run_cases(
    backend: &mut dyn Backend,
    cases: impl IntoIterator<Item = Case>,
    wanted_kernel: impl Fn(&str) -> bool,
    most: usize,
    mut heard: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let (mut outcomes, mut told): (Vec<Outcome>, usize) = (Vec::new(), 0);
    for (number, case) in cases.into_iter().enumerate() {
        // The cases of an operation are adjacent: those of the previous one are finished.
        if outcomes.last().is_some_and(|last| last.stem != case.name) {
            outcomes[told..].iter().for_each(&mut heard);
            told = outcomes.len();
        }
        let mut full = Stored { expected: case.expected(), case: case.clone(), halves: Halves::default() };
        let mut half = Halves::of(&case).map(|(case, halves)| Stored { expected: case.expected(), case, halves });
        for (rank, (kernel, caps)) in case.variants(backend.caps()).into_iter().enumerate() {
            if kernel.is_some_and(|kernel| !wanted_kernel(kernel)) {
                continue;
            }
            for (half, stored) in [(false, Some(&mut full)), (true, half.as_mut())] {
                let Some(stored) = stored else { continue };
                let of_kernel =
                    |outcome: &Outcome| (outcome.stem, outcome.kernel, outcome.half) == (case.name, kernel, half);
                let done = outcomes.iter().find(|outcome| of_kernel(outcome)).map_or(0, |outcome| outcome.samples);
                if done >= most || rank > 0 && done >= ENOUGH || half && done >= HALVED[rank.min(1)] {
                    continue;
                }
                // Halves hold no infinity.
                let value = if half { f32::NAN } else { NOT_FINITE[number % 3] };
                let (error, failure) = match check(backend, &caps, stored, value).await? {
                    Ok(error) => (error, None),
                    Err(failure) => (f32::INFINITY, Some(failure)),
                };
                let bound = stored.bound();
                match outcomes.iter_mut().find(|outcome| of_kernel(outcome)) {
                    Some(outcome) => {
                        outcome.samples += 1;
                        outcome.worst = outcome.worst.max(error);
                        outcome.bound = outcome.bound.max(bound);
                        outcome.failure = outcome.failure.take().or(failure);
                    }
                    None => {
                        let (stem, samples, worst) = (case.name, 1, error);
                        outcomes.push(Outcome { stem, kernel, half, samples, worst, bound, failure });
                    }
                }
            }
        }
    }
    outcomes[told..].iter().for_each(&mut heard);
    Ok(outcomes)
}

/// Compares one kernel of an operation with the reference implementation, on the largest of its
/// cases that the kernel supports. Returns a description of the difference, if there is one. `half`
/// stores floats of images in half precision, for which the kernel is a different program.
///
/// # Errors
///
/// Returns an error if the device is lost, or a stop is requested.
pub async fn compare_kernel(backend: &mut dyn Backend, stem: &str, kernel: &str, half: bool) -> Result<Option<String>> {
    let with = |case: Case| {
        let (case, halves) = if half { Halves::of(&case)? } else { (case, Halves::default()) };
        let caps = case.kernels(backend.caps()).into_iter().find(|(name, _)| *name == kernel)?.1;
        Some((case.inputs.iter().map(|input| input.words.len()).sum::<usize>(), case, halves, caps))
    };
    let cases = ops::fusion::cases().into_iter().filter(|case| case.name == stem).filter_map(with);
    let Some((_, case, halves, caps)) = cases.max_by_key(|(words, ..)| *words) else {
        return Ok(Some("no sample to compare it on".to_string()));
    };
    let stored = Stored { expected: case.expected(), case, halves };
    let Computed { outputs, seen, .. } = compute(backend, &caps, &stored).await?;
    let noted = || seen.and_then(|seen| stored.compare_seen(&seen).err());
    Ok(compare_all(&stored, outputs).err().or_else(noted))
}

/// A case with its expected outputs and the values that are stored in half precision.
struct Stored {
    case: Case,
    expected: Vec<Tensor>,
    halves: Halves,
}

impl Stored {
    /// Returns the range of values that are outputs.
    fn outputs(&self) -> std::ops::Range<usize> {
        let inputs = self.case.inputs.len();
        inputs..inputs + self.case.nodes.len()
    }

    /// Compares the statistics that the device recorded for outputs in half precision with the
    /// expected ones.
    fn compare_seen(&self, seen: &[u32]) -> Result<(), String> {
        self.halves.compare_seen(self.outputs(), &self.expected, seen, self.bound())
    }

    fn bound(&self) -> f32 {
        let bounds = self.case.nodes.iter().zip(&self.expected).map(|((op, _), output)| op.tolerance(&output.ty));
        bounds.fold(0.0, f32::max) + self.halves.bound(self.outputs())
    }
}

/// A device's results for a case.
struct Computed {
    /// The outputs, guard words included.
    outputs: Vec<Vec<u32>>,
    /// The statistics recorded for outputs in half precision, if there are any.
    seen: Option<Vec<u32>>,
    /// The inputs of the case that are checked.
    checked: Vec<usize>,
    /// Whether a check failed, and whether it named this operation or another one.
    fault: Fault,
}

#[derive(PartialEq, Debug)]
enum Fault {
    None,
    Found,
    Misnamed(u32),
}

async fn compute(backend: &mut dyn Backend, caps: &Caps, stored: &Stored) -> Result<Computed> {
    let Stored { case, expected, halves } = stored;
    let (mut graph, unit) = case.graph();
    halves.mark(&mut graph)?;
    unit.clone().for_each(|node| graph.output(format!("out{node}"), Value(node)));
    let mut plan = lower(&graph, caps)?;
    for port in &mut plan.outputs {
        let place = &mut port.place;
        place.ty = TensorType::new(&[(place.stored().words() + GUARD_WORDS).next_multiple_of(4)], Encoding::U32);
        place.scale = None;
        plan.slots[place.slot].words = place.ty.words();
    }
    let ports: Vec<(String, usize)> =
        plan.outputs.iter().map(|port| (port.name.clone(), port.place.ty.words())).collect();
    let (checks, rank) = (plan.port(FAULT).is_some(), plan.rank(unit.start));
    let mut checked = Vec::new();
    let mut updated = vec![None; unit.len()];
    for (at, node) in unit.clone().enumerate() {
        let inputs = &graph.node(Value(node)).inputs;
        updated[at] = plan.nodes[node].op.in_place().map(|index| inputs[index].0);
        let floats = |&input: &usize| input < unit.start && case.inputs[input].ty.encoding == Encoding::F32;
        let operands = plan.nodes[node].checked.iter().filter_map(|operand| match *operand {
            Operand::Input(index) => Some(inputs[index].0),
            // The updated input; otherwise the output is derived from the first float input.
            _ => updated[at].or_else(|| inputs.iter().map(|input| input.0).find(floats)),
        });
        checked.extend(operands.filter(floats));
    }
    let id = backend.load(plan).await?;
    if checks {
        backend.write(id, FAULT, &[0; LANES]);
    }
    let tables = halves.tables();
    tables.iter().for_each(|(name, words)| backend.write(id, name, words));
    for (i, tensor) in case.inputs.iter().enumerate().filter(|(i, _)| !updated.contains(&Some(*i))) {
        backend.write(id, &format!("in{i}"), &halves.input(i, tensor));
    }
    for ((port, words), updated) in ports.iter().zip(updated) {
        let mut before = vec![PATTERN; *words];
        if let Some(input) = updated {
            let old = &case.inputs[input].words;
            before[..old.len()].copy_from_slice(old);
        }
        backend.write(id, port, &before);
    }
    backend.run(id)?;
    let mut outputs = Vec::new();
    for ((value, (port, _)), expected) in unit.zip(&ports).zip(expected) {
        outputs.push(halves.output(Value(value), &expected.ty, backend.read(id, port).await?));
    }
    let seen = if tables.is_empty() { None } else { Some(backend.read(id, SEEN).await?) };
    let word = if checks { backend.read(id, FAULT).await?[0] } else { 0 };
    let fault = match word {
        0 => Fault::None,
        word if word == rank => Fault::Found,
        word => Fault::Misnamed(word),
    };
    Ok(Computed { outputs, seen, checked, fault })
}

/// Non-finite numbers that an operation must find where it checks an operand, one per case in turn.
const NOT_FINITE: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Puts a non-finite number into each checked input and verifies that the device finds it.
async fn check_faults(
    backend: &mut dyn Backend,
    caps: &Caps,
    stored: &mut Stored,
    checked: &[usize],
    value: f32,
) -> Result<Result<(), String>> {
    for &index in checked {
        let words = &mut stored.case.inputs[index].words;
        let healthy = words.clone();
        // Outputs in half precision are checked even by an operation that reads only part of its
        // input.
        let spoilt = if stored.halves.is_empty() { 1 } else { words.len() };
        words[..spoilt].fill(value.to_bits());
        let fault = compute(backend, caps, stored).await?.fault;
        stored.case.inputs[index].words = healthy;
        if fault != Fault::Found {
            return Ok(Err(format!("{value} in input {index}, which is checked: {fault:?}")));
        }
    }
    Ok(Ok(()))
}

async fn check(backend: &mut dyn Backend, caps: &Caps, stored: &mut Stored, value: f32) -> Result<Result<f32, String>> {
    let Computed { outputs, seen, checked, fault } = compute(backend, caps, stored).await?;
    let case = &stored.case;
    let shapes: Vec<_> = case.inputs.iter().map(|tensor| tensor.ty.to_string()).collect();
    let ops: Vec<_> = case.nodes.iter().map(|(op, _)| format!("{op:?}")).collect();
    let case_name = format!("{} of {}", ops.join(" and "), shapes.join(", "));
    let failure = |what: &str| Ok(Err(format!("{case_name}: {what}")));
    let worst = match compare_all(stored, outputs) {
        Ok(worst) => worst,
        Err(what) => return failure(&what),
    };
    let noted = seen.map_or(Ok(()), |seen| stored.compare_seen(&seen));
    if let Err(what) = noted {
        return failure(&what);
    }
    if fault != Fault::None {
        return failure(&format!("finite numbers are reported as non-finite: {fault:?}"));
    }
    match check_faults(backend, caps, stored, &checked, value).await? {
        Ok(()) => Ok(Ok(worst)),
        Err(what) => failure(&what),
    }
}

/// Returns the largest relative error of a case's outputs, which are followed by guard words, or a
/// description of the difference.
fn compare_all(stored: &Stored, outputs: Vec<Vec<u32>>) -> Result<f32, String> {
    let mut worst = 0.0f32;
    let Stored { case, expected, halves } = stored;
    for (value, ((mut words, expected), (op, _))) in
        stored.outputs().zip(outputs.into_iter().zip(expected).zip(&case.nodes))
    {
        let guards = words.split_off(expected.ty.words());
        if guards.iter().any(|&word| word != PATTERN) {
            return Err(format!("{} writes past the end of its output", op.stem()));
        }
        let got = Tensor { ty: expected.ty.clone(), words };
        let error = compare(expected, &got, op.tolerance(&expected.ty) + halves.bound(value..value + 1));
        worst = worst.max(error.map_err(|what| format!("{}: {what}", op.stem()))?);
    }
    Ok(worst)
}

/// Returns the relative error, or a description of the difference.
fn compare(expected: &Tensor, got: &Tensor, bound: f32) -> Result<f32, String> {
    if expected.words.iter().all(|&word| word == 0) {
        return Err("the expected output is all zero, so the sample tests nothing".to_string());
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
    if worst > bound { Err(format!("differs by {worst:e} of the largest value, bound {bound:e}")) } else { Ok(worst) }
}
