//! Conformance: every case of every operation, and of those that are computed together, on a device against its twins.
//!
//! Integers and bits must agree exactly, floats within the operation's bound. Outputs are filled with a pattern first and guard words lie behind them, so
//! that an element that is not written, or a word too many, shows. An operation that checks its operands must find nothing there, and a NaN or an infinity when it is put in: drivers differ in
//! what they make of comparisons with NaN.

use crate::backend::Backend;
use crate::caps::{Caps, LaunchShape};
use crate::error::Result;
use crate::graph::{Typed, Value};
use crate::kernel::{FAULT, Operand};
use crate::ops::{self, joint::Case};
use crate::plan::lower;
use crate::tensor::{Encoding, LANES, Tensor, TensorType};

/// Words behind every output that must not change.
const GUARD_WORDS: usize = 64;
const PATTERN: u32 = 0xa5a5_a5a5;

/// How one operation fared.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The operation's stem, or what operations are called together.
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

/// Runs all cases that are wanted, by their names, with every kernel that the device can run; one outcome for each operation and kernel, in the order of the list, then those of operations that are computed together.
///
/// Where kernels in registers are preferred they alone run: the others are those of the other shape.
///
/// # Errors
/// When the device is lost.
pub async fn run(backend: &mut dyn Backend, wanted: impl Fn(&str) -> bool) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let cases = ops::joint::cases().into_iter().filter(|case| wanted(case.name));
    for (number, case) in cases.enumerate() {
        let expected = case.expected();
        let bounds = case.nodes.iter().zip(&expected).map(|((op, _), output)| op.tolerance(&output.ty));
        let bound = bounds.fold(0.0, f32::max);
        let variants = case.variants(backend.caps()).into_iter();
        for (kernel, caps) in variants.take(if backend.caps().shape == LaunchShape::Tiled { usize::MAX } else { 1 }) {
            let (error, failure) = match check(backend, &caps, &case, &expected, NOT_FINITE[number % 3]).await? {
                Ok(error) => (error, None),
                Err(failure) => (f32::INFINITY, Some(failure)),
            };
            match outcomes.iter_mut().find(|outcome| outcome.stem == case.name && outcome.kernel == kernel) {
                Some(outcome) => {
                    outcome.samples += 1;
                    outcome.worst = outcome.worst.max(error);
                    outcome.bound = outcome.bound.max(bound);
                    outcome.failure = outcome.failure.take().or(failure);
                }
                None => outcomes.push(Outcome { stem: case.name, kernel, samples: 1, worst: error, bound, failure }),
            }
        }
    }
    Ok(outcomes)
}

/// What a device made of a case.
struct Computed {
    /// The outputs, guard words included.
    outputs: Vec<Vec<u32>>,
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

async fn compute(backend: &mut dyn Backend, caps: &Caps, case: &Case) -> Result<Computed> {
    let (mut graph, unit) = case.graph();
    unit.clone().for_each(|node| graph.output(format!("out{node}"), Value(node)));
    let mut plan = lower(&graph, caps)?;
    for port in &mut plan.outputs {
        let place = &mut port.place;
        place.ty = TensorType::new(&[(place.ty.words() + GUARD_WORDS).next_multiple_of(4)], Encoding::U32);
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
    for (i, tensor) in case.inputs.iter().enumerate().filter(|(i, _)| !updated.contains(&Some(*i))) {
        backend.write(id, &format!("in{i}"), &tensor.words);
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
    for (port, _) in &ports {
        outputs.push(backend.read(id, port).await?);
    }
    let word = if checks { backend.read(id, FAULT).await?[0] } else { 0 };
    let fault = match word {
        0 => Fault::None,
        word if word == rank => Fault::Found,
        word => Fault::Misnamed(word),
    };
    Ok(Computed { outputs, checked, fault })
}

/// Numbers that an operation must find where it checks an operand: one in each case, in turn.
const NOT_FINITE: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Puts a number that is not finite where inputs are checked, and looks whether the device finds it.
async fn check_faults(
    backend: &mut dyn Backend,
    caps: &Caps,
    case: &Case,
    checked: &[usize],
    value: f32,
) -> Result<Result<(), String>> {
    for &index in checked {
        let mut case = case.clone();
        case.inputs[index].words[0] = value.to_bits();
        let fault = compute(backend, caps, &case).await?.fault;
        if fault != Fault::Found {
            return Ok(Err(format!("{value} in input {index}, which is checked: {fault:?}")));
        }
    }
    Ok(Ok(()))
}

async fn check(
    backend: &mut dyn Backend,
    caps: &Caps,
    case: &Case,
    expected: &[Tensor],
    value: f32,
) -> Result<Result<f32, String>> {
    let Computed { outputs, checked, fault } = compute(backend, caps, case).await?;
    let shapes: Vec<_> = case.inputs.iter().map(|tensor| tensor.ty.to_string()).collect();
    let ops: Vec<_> = case.nodes.iter().map(|(op, _)| format!("{op:?}")).collect();
    let case_name = format!("{} of {}", ops.join(" and "), shapes.join(", "));
    let failure = |what: &str| Ok(Err(format!("{case_name}: {what}")));
    let mut worst = 0.0f32;
    for ((mut words, expected), (op, _)) in outputs.into_iter().zip(expected).zip(&case.nodes) {
        let guards = words.split_off(expected.ty.words());
        if guards.iter().any(|&word| word != PATTERN) {
            return failure(&format!("{} writes behind its output", op.stem()));
        }
        let got = Tensor { ty: expected.ty.clone(), words };
        match compare(expected, &got, op.tolerance(&expected.ty)) {
            Ok(error) => worst = worst.max(error),
            Err(what) => return failure(&format!("{}: {what}", op.stem())),
        }
    }
    if fault != Fault::None {
        return failure(&format!("numbers that are finite are taken for others: {fault:?}"));
    }
    match check_faults(backend, caps, case, &checked, value).await? {
        Ok(()) => Ok(Ok(worst)),
        Err(what) => failure(&what),
    }
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
