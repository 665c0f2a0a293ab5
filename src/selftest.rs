//! Conformance: every case of every operation, and of those that are computed together, on a device against its twins.
//!
//! Integers and bits must agree exactly, floats within the operation's bound. Outputs are filled with a pattern first and guard words lie behind them, so
//! that an element that is not written, or a word too many, shows. An operation that checks its operands must find nothing there, and a NaN or an infinity when it is put in: drivers differ in
//! what they make of comparisons with NaN.

mod halves;

use crate::backend::Backend;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::{Typed, Value};
use crate::halves::SEEN;
use crate::kernel::{FAULT, Operand};
use crate::ops::{self, joint::Case};
use crate::plan::lower;
use crate::tensor::{Encoding, LANES, Tensor, TensorType};
use halves::Halves;

/// Words behind every output that must not change.
const GUARD_WORDS: usize = 64;
const PATTERN: u32 = 0xa5a5_a5a5;

/// Cases that a kernel computes in which a plan would take another one. The first nine of a convolution have all kinds of windows; later ones vary what all of its kernels read in the same way: kinds of codes.
const ENOUGH: usize = 9;

/// Cases that are computed with floats of images in half precision as well: by the kernel that a plan takes first, and by the others.
const HALVED: [usize; 2] = [2, 1];

/// How one operation fared.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The operation's stem, or what operations are called together.
    pub stem: &'static str,
    /// The kernel, where the operation has several.
    pub kernel: Option<&'static str>,
    /// Whether floats of images lay in half precision ([`crate::halves`]).
    pub half: bool,
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
    /// The operation, the kernel where there are several, and how floats were stored.
    pub fn name(&self) -> String {
        let how = [self.kernel, self.half.then_some("f16")].into_iter().flatten().collect::<Vec<_>>().join(", ");
        if how.is_empty() { self.stem.to_string() } else { format!("{} ({how})", self.stem) }
    }
}

/// Runs all cases that are wanted, by their names, with every kernel that the device can run, those that a plan would take in all of them; one outcome for each operation and kernel, in the order of the list, then those of operations that are computed together.
///
/// # Errors
/// When the device is lost.
pub async fn run(backend: &mut dyn Backend, wanted: impl Fn(&str) -> bool) -> Result<Vec<Outcome>> {
    run_telling(backend, wanted, |_| ()).await
}

/// The same; each outcome is told as soon as it is known.
///
/// # Errors
/// When the device is lost.
pub async fn run_telling(
    backend: &mut dyn Backend,
    wanted: impl Fn(&str) -> bool,
    heard: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    run_kernels(backend, wanted, |_| true, usize::MAX, heard).await
}

/// The same with those kernels alone that are wanted, by their names, of operations that have several; and with at most so many samples of each kernel, which is quick: most of the time goes into compiling kernels for shapes.
///
/// # Errors
/// When the device is lost.
pub async fn run_kernels(
    backend: &mut dyn Backend,
    wanted: impl Fn(&str) -> bool,
    wanted_kernel: impl Fn(&str) -> bool,
    most: usize,
    mut heard: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let (mut outcomes, mut told): (Vec<Outcome>, usize) = (Vec::new(), 0);
    let cases = ops::joint::cases().into_iter().filter(|case| wanted(case.name));
    for (number, case) in cases.enumerate() {
        // The cases of an operation stand together: those of the one before are done.
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

/// Compares one kernel of an operation with the reference, on the largest of its cases that the kernel can compute: what is wrong with it, if anything. `half` stores floats of images in half precision, for which the kernel is another program.
///
/// # Errors
/// When the device is lost, or somebody asks to stop.
pub async fn of_kernel(backend: &mut dyn Backend, stem: &str, kernel: &str, half: bool) -> Result<Option<String>> {
    let with = |case: Case| {
        let (case, halves) = if half { Halves::of(&case)? } else { (case, Halves::default()) };
        let caps = case.kernels(backend.caps()).into_iter().find(|(name, _)| *name == kernel)?.1;
        Some((case.inputs.iter().map(|input| input.words.len()).sum::<usize>(), case, halves, caps))
    };
    let cases = ops::joint::cases().into_iter().filter(|case| case.name == stem).filter_map(with);
    let Some((_, case, halves, caps)) = cases.max_by_key(|(words, ..)| *words) else {
        return Ok(Some("no sample to compare it on".to_string()));
    };
    let stored = Stored { expected: case.expected(), case, halves };
    let Computed { outputs, seen, .. } = compute(backend, &caps, &stored).await?;
    let noted = || seen.and_then(|seen| stored.compare_seen(&seen).err());
    Ok(compare_all(&stored, outputs).err().or_else(noted))
}

/// A case, what its outputs should be, and what of it lies in half precision.
struct Stored {
    case: Case,
    expected: Vec<Tensor>,
    halves: Halves,
}

impl Stored {
    /// The values that are outputs.
    fn outputs(&self) -> std::ops::Range<usize> {
        let inputs = self.case.inputs.len();
        inputs..inputs + self.case.nodes.len()
    }

    /// Compares what the device noted of outputs in half precision with what it should have written.
    fn compare_seen(&self, seen: &[u32]) -> Result<(), String> {
        self.halves.compare_seen(self.outputs(), &self.expected, seen, self.bound())
    }

    fn bound(&self) -> f32 {
        let bounds = self.case.nodes.iter().zip(&self.expected).map(|((op, _), output)| op.tolerance(&output.ty));
        bounds.fold(0.0, f32::max) + self.halves.bound(self.outputs())
    }
}

/// What a device made of a case.
struct Computed {
    /// The outputs, guard words included.
    outputs: Vec<Vec<u32>>,
    /// What it noted of outputs in half precision, where there are some.
    seen: Option<Vec<u32>>,
    /// The inputs of the case that are checked.
    checked: Vec<usize>,
    /// Whether a check has failed, named the operation, or named another one.
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
            // What is updated; else what comes out follows from the first float.
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

/// Numbers that an operation must find where it checks an operand: one in each case, in turn.
const NOT_FINITE: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Puts a number that is not finite where inputs are checked, and looks whether the device finds it.
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
        // What is written in half precision is checked even by an operation that reads but a part of its input.
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
        return failure(&format!("numbers that are finite are taken for others: {fault:?}"));
    }
    match check_faults(backend, caps, stored, &checked, value).await? {
        Ok(()) => Ok(Ok(worst)),
        Err(what) => failure(&what),
    }
}

/// The largest relative error of a case's outputs, which have guard words behind them, or what is wrong.
fn compare_all(stored: &Stored, outputs: Vec<Vec<u32>>) -> Result<f32, String> {
    let mut worst = 0.0f32;
    let Stored { case, expected, halves } = stored;
    for (value, ((mut words, expected), (op, _))) in
        stored.outputs().zip(outputs.into_iter().zip(expected).zip(&case.nodes))
    {
        let guards = words.split_off(expected.ty.words());
        if guards.iter().any(|&word| word != PATTERN) {
            return Err(format!("{} writes behind its output", op.stem()));
        }
        let got = Tensor { ty: expected.ty.clone(), words };
        let error = compare(expected, &got, op.tolerance(&expected.ty) + halves.bound(value..value + 1));
        worst = worst.max(error.map_err(|what| format!("{}: {what}", op.stem()))?);
    }
    Ok(worst)
}

/// The relative error, or what is wrong.
fn compare(expected: &Tensor, got: &Tensor, bound: f32) -> Result<f32, String> {
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
    if worst > bound { Err(format!("differs by {worst:e} of the largest value, bound {bound:e}")) } else { Ok(worst) }
}
