//! The CPU backend: executes the same plan, in the same slots, with the reference implementations
//! (`reference`) of operations.
//!
//! **Invariant:** in debug builds a freed slot is filled with NaNs, to expose reads of a value
//! after its lifetime, and so is what a plan leaves in memory that it would share with the next one on a GPU.

use super::{Backend, Clock, Grain, HostTimes, LocalFuture, PlanId, Stamp, TimedRun};
use crate::caps::Caps;
use crate::error::{Error, LESS_MEMORY, Result};
use crate::halves::{self, SCALES, SEEN};
use crate::kernel::{FAULT, Operand};
use crate::ops::Op;
use crate::plan::{Lifetime, Plan, PlanNode};
use crate::stop::Stop;
use crate::tensor::{View, ViewMut};
use crate::{parallel, simd};
use std::collections::HashMap;
use std::ops::Range;
use web_time::Instant;

/// NaN as a float, a large number in other encodings.
const POISON: u32 = 0x7fc0_dead;

/// A buffer of equal words; an error where the system refuses it. Systems that promise more memory than they have
/// end the process instead, once it is used.
fn allocate(words: usize, word: u32) -> Result<Vec<u32>> {
    let mut buffer = Vec::new();
    if buffer.try_reserve_exact(words).is_err() {
        let mib = words >> 18;
        return Err(Error::Memory(format!("the system refused {mib} MiB of memory for one tensor; {LESS_MEMORY}")));
    }
    buffer.resize(words, word);
    Ok(buffer)
}

/// Whether all floats are finite, tested on bits as in kernels.
fn all_finite(words: &[u32]) -> bool {
    parallel::all(words, 16384, |words| {
        let mut finite = false;
        simd::run(Finite { words, finite: &mut finite });
        finite
    })
}

struct Finite<'a> {
    words: &'a [u32],
    finite: &'a mut bool,
}

impl simd::Job for Finite<'_> {
    #[inline(always)]
    fn run<S: simd::Simd>(self, _: S) {
        const EXPONENT: u32 = 0x7f80_0000;
        // Without an early exit, so that the loop is vectorised.
        *self.finite = self.words.iter().fold(0, |most, word| (word & EXPONENT).max(most)) < EXPONENT;
    }
}

/// Runs plans on the host.
pub struct CpuBackend {
    caps: Caps,
    plans: Vec<Plan>,
    /// By plan and buffer; state buffers are empty here.
    memory: Vec<Vec<Vec<u32>>>,
    state: HashMap<String, Vec<u32>>,
    /// The plan that has run last, of those that are not nested and of those that are.
    last: [Option<usize>; 2],
    stop: Stop,
    /// Whether stop requests are ignored.
    ignores_stops: bool,
}

impl Default for CpuBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl CpuBackend {
    /// Creates a backend without plans.
    pub fn new() -> Self {
        let (plans, memory, state) = (Vec::new(), Vec::new(), HashMap::new());
        Self { caps: Caps::cpu(), plans, memory, state, last: [None; 2], stop: Stop::default(), ignores_stops: false }
    }

    /// Returns the name of the state in a slot of `plan`.
    fn name_of(plan: &Plan, slot: usize) -> &str {
        let port = plan.state.iter().find(|port| port.place.slot == slot);
        &port.expect("a state slot has a port").name
    }

    /// Allocates the memory of a plan that is loaded next, and the state that no other plan has.
    fn take_memory(&mut self, plan: &Plan) -> Result<()> {
        let is_state = |buffer: usize| plan.slots.get(buffer).is_some_and(|slot| slot.lifetime == Lifetime::State);
        let buffers = plan.buffers().into_iter().enumerate();
        let buffers: Result<_> =
            buffers.map(|(at, words)| allocate(if is_state(at) { 0 } else { words }, POISON)).collect();
        for port in &plan.state {
            let words = port.place.stored().words();
            match self.state.get(&port.name) {
                Some(kept) => assert_eq!(kept.len(), words, "two plans disagree on the state {}", port.name),
                None => drop(self.state.insert(port.name.clone(), allocate(words, 0)?)),
            }
        }
        self.memory.push(buffers?);
        Ok(())
    }

    /// Executes the nodes of these dispatches of a plan, each `repeats` times; `timed` receives the start and end
    /// of each.
    fn execute(
        &mut self,
        id: PlanId,
        steps: Range<usize>,
        repeats: impl Fn(&PlanNode) -> u32 + Send,
        timed: impl FnMut(&PlanNode, Instant, Instant) + Send,
    ) {
        parallel::within(|| self.execute_here(id, steps, repeats, timed));
    }

    /// Fills the transient memory of a plan with NaNs.
    fn forget(&mut self, plan: usize) {
        let slots = &self.plans[plan].slots;
        let is_transient = |at: usize| slots.get(at).is_none_or(|slot| slot.lifetime == Lifetime::Transient);
        let buffers = self.memory[plan].iter_mut().enumerate().filter(|(at, _)| is_transient(*at));
        buffers.for_each(|(_, buffer)| buffer.fill(POISON));
    }

    fn execute_here(
        &mut self,
        id: PlanId,
        steps: Range<usize>,
        repeats: impl Fn(&PlanNode) -> u32,
        mut timed: impl FnMut(&PlanNode, Instant, Instant),
    ) {
        if cfg!(debug_assertions) {
            let last = self.last[usize::from(self.plans[id.0].nested)].replace(id.0);
            last.filter(|last| *last != id.0).into_iter().for_each(|last| self.forget(last));
        }
        let (plan, memory) = (&self.plans[id.0], &mut self.memory[id.0]);
        // Move the state into its slots for the duration of the step.
        for port in &plan.state {
            memory[port.place.slot] = std::mem::take(self.state.get_mut(&port.name).expect("loaded state"));
        }
        let [fault, scales, seen] = [FAULT, SCALES, SEEN].map(|name| plan.port(name).map(|port| port.place.slot));
        let belongs = |node: &PlanNode| !matches!(node.op, Op::Leaf(_)) && steps.contains(&node.steps.start);
        for (index, node) in plan.nodes.iter().enumerate().filter(|(_, node)| belongs(node)) {
            let (buffer, begin) = plan.buffer(node.output.slot);
            let mut whole = std::mem::take(&mut memory[buffer]);
            let (ahead, out) = whole.split_at_mut(begin);
            let (out, behind) = out.split_at_mut(node.output.stored().words());
            // An in-place update reads the buffer that it overwrites.
            let before = node.inputs.iter().any(|place| place.slot == node.output.slot);
            let before = before.then(|| out.to_vec());
            let begun = Instant::now();
            let scales = |row: usize| -> [f32; halves::ROW] {
                let scales: &[f32] = bytemuck::cast_slice(&memory[scales.expect("a table of scales")]);
                scales.as_chunks().0[row]
            };
            let stored: Vec<_> = node
                .inputs
                .iter()
                .map(|place| {
                    let (of, at) = plan.buffer(place.slot);
                    let memory = match &before {
                        Some(before) if place.slot == node.output.slot => before,
                        _ if of == buffer && at < begin => &ahead[at..],
                        _ if of == buffer => &behind[at - begin - out.len()..],
                        _ => &memory[of][at..],
                    };
                    &memory[..place.stored().words()]
                })
                .collect();
            // Reference implementations operate on floats: values in half precision are converted
            // before and after.
            let loaded: Vec<Option<Vec<f32>>> = node
                .inputs
                .iter()
                .zip(&stored)
                .map(|(place, words)| {
                    let [_, inverse, ..] = scales(place.scale?);
                    Some(halves::load(words, inverse))
                })
                .collect();
            let inputs: Vec<_> = node
                .inputs
                .iter()
                .zip(stored.iter().zip(&loaded))
                .map(|(place, (words, loaded))| {
                    View::new(&place.ty, loaded.as_ref().map_or(words, |loaded| bytemuck::cast_slice(loaded)))
                })
                .collect();
            let ty = &node.output.ty;
            let mut floats = node.output.scale.map(|_| vec![0u32; ty.words()]);
            let written: &mut [u32] = floats.as_deref_mut().unwrap_or(&mut *out);
            for _ in 0..repeats(node) {
                node.op.reference(&inputs, &mut ViewMut::new(ty, &mut *written));
            }
            let finite = node.checked.iter().all(|operand| match *operand {
                Operand::Input(index) => all_finite(inputs[index].words),
                Operand::Output => all_finite(written),
                _ => true,
            });
            let mut raised = None;
            if let (Some(row), Some(floats)) = (node.output.scale, &floats) {
                let [scale, ..] = scales(row);
                raised = Some((row, halves::store(bytemuck::cast_slice(floats), scale, out)));
            }
            timed(node, begun, Instant::now());
            memory[buffer] = whole;
            if let Some((row, new)) = raised {
                let words = &mut memory[seen.expect("a table beside the scales")][row * halves::ROW..];
                words[0] = words[0].max(new.most);
                words[1] = words[1].saturating_add(new.saturated);
            }
            if let Some(slot) = fault.filter(|_| !finite) {
                let word = &mut memory[slot][0];
                *word = plan.rank(index).max(*word);
            }
            if cfg!(debug_assertions) {
                for &slot in &node.frees {
                    let (buffer, begin) = plan.buffer(slot);
                    memory[buffer][begin..][..plan.slots[slot].words].fill(POISON);
                }
            }
        }
        for slot in 0..plan.slots.len() {
            if plan.slots[slot].lifetime == Lifetime::State {
                self.state.insert(Self::name_of(plan, slot).to_string(), std::mem::take(&mut memory[slot]));
            }
        }
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "cpu"
    }

    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn stop_by(&mut self, stop: Stop) {
        self.stop = stop;
    }

    fn obey_stops(&mut self, heard: bool) {
        self.ignores_stops = !heard;
    }

    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>> {
        if let Err(error) = self.stop.check().and_then(|()| self.take_memory(&plan)) {
            return Box::pin(async move { Err(error) });
        }
        self.plans.push(plan);
        let id = PlanId(self.plans.len() - 1);
        Box::pin(async move { Ok(id) })
    }

    fn plan(&self, id: PlanId) -> &Plan {
        &self.plans[id.0]
    }

    fn write(&mut self, id: PlanId, port: &str, words: &[u32]) {
        let found = self.plans[id.0].port(port).unwrap_or_else(|| panic!("the plan has no port {port}"));
        let memory = match self.state.get_mut(port) {
            Some(state) => state,
            None => &mut self.memory[id.0][found.place.slot],
        };
        memory[..found.place.stored().words()].copy_from_slice(words);
    }

    fn run_part(&mut self, id: PlanId, steps: Range<usize>) -> Result<()> {
        if !self.ignores_stops {
            self.stop.check()?;
        }
        self.execute(id, steps, |_| 1, |_, _, _| ());
        Ok(())
    }

    /// The clock is always the host's, and is read between nodes.
    fn run_timed<'a>(
        &'a mut self,
        id: PlanId,
        repeats: &'a [u32],
        _clock: Clock,
        _grain: Grain,
    ) -> LocalFuture<'a, Result<TimedRun>> {
        if let Err(stopped) = self.stop.check() {
            return Box::pin(async move { Err(stopped) });
        }
        let origin = Instant::now();
        let ns = |at: Instant| (at - origin).as_nanos() as u64;
        let mut run = TimedRun { clock: Clock::Host, tick_ns: 1.0, stamps: Vec::new(), host: Vec::new() };
        self.execute(
            id,
            0..repeats.len(),
            |node| repeats[node.steps.start],
            |node, begun, done| {
                let steps = node.steps.clone();
                // Nodes that a device would compute together are timed together, including all
                // nodes that share their launches.
                if let (Some(stamp), Some(host)) = (run.stamps.last_mut(), run.host.last_mut())
                    && stamp.steps.end > steps.start
                {
                    stamp.steps.end = stamp.steps.end.max(steps.end);
                    host.steps = stamp.steps.clone();
                    (stamp.end, host.done) = (ns(done), done);
                    return;
                }
                run.stamps.push(Stamp { steps: steps.clone(), begin: ns(begun), end: ns(done) });
                run.host.push(HostTimes { steps, begun, encoded: begun, submitted: begun, done });
            },
        );
        Box::pin(async move { Ok(run) })
    }

    fn finish(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        let found = self.plans[id.0].port(port).unwrap_or_else(|| panic!("the plan has no port {port}"));
        let memory = self.state.get(port).unwrap_or(&self.memory[id.0][found.place.slot]);
        let words = memory[..found.place.stored().words()].to_vec();
        Box::pin(async move { Ok(words) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_the_system_refuses_is_an_error_with_advice() {
        // More than the addresses of a process.
        let error = allocate(1 << 60, POISON).unwrap_err().to_string();
        assert!(error.contains("refused 4398046511104 MiB") && error.contains("use a smaller batch"), "{error}");
        assert_eq!(allocate(2, POISON).ok(), Some(vec![POISON; 2]));
    }
}
