//! Text form of a plan: launches, slots, memory use. Also used by golden files.

use super::{Lifetime, Plan};
use crate::ops::Op;
use std::fmt;

/// Formats bytes in the largest unit that gives a number of at least 1.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<6} {:<12} {:<30} {:<22} {:<5} {:<26} workgroups",
            "launch", "layer", "kernel", "output", "slot", "reads slots"
        )?;
        let mut printed = 0;
        for node in self.nodes.iter().filter(|node| !matches!(node.op, Op::Leaf(_))) {
            let reads: Vec<_> = node.inputs.iter().map(|place| place.slot.to_string()).collect();
            // Of launches shared with other nodes, one line suffices.
            let from = if node.steps.start < printed { node.steps.end.saturating_sub(1) } else { node.steps.start };
            for index in from..node.steps.end {
                let step = &self.steps[index];
                let [x, y] = step.groups;
                let groups = if y == 1 { x.to_string() } else { format!("{x}×{y}") };
                let (kernel, output) = (&self.kernels[step.kernel].label, node.output.stored().to_string());
                // Among nodes that share a dispatch, the first names it.
                let new = index >= printed;
                let (number, kernel) =
                    if new { (index.to_string(), &**kernel) } else { (String::new(), node.op.stem()) };
                let (reads, groups) = (reads.join(" "), if new { groups } else { String::new() });
                let line = format!(
                    "{number:<6} {:<12} {kernel:<30} {output:<22} {:<5} {reads:<26} {groups}",
                    node.layer, node.output.slot
                );
                writeln!(f, "{}", line.trim_end())?;
                printed = printed.max(index + 1);
            }
        }
        let moved = self.steps.iter().map(|step| step.cost.bytes).sum();
        let [launches, waits] = [self.steps.len(), self.waits()];
        writeln!(f, "\n{launches} launches, of which {waits} wait for earlier ones; they move {}\n", bytes(moved))?;
        let count = |lifetime| match &self.packing {
            Some(packing) if lifetime == Lifetime::Transient => packing.buffers.len(),
            _ => self.slots.iter().filter(|slot| slot.lifetime == lifetime).count(),
        };
        let memory = &self.memory;
        writeln!(f, "memory                    buffers        bytes")?;
        for (name, lifetime, total) in [
            ("state", Lifetime::State, memory.state),
            ("inputs and outputs", Lifetime::Port, memory.ports),
            ("transient", Lifetime::Transient, memory.transient),
        ] {
            writeln!(f, "{name:<25} {:>7} {:>12}", count(lifetime), bytes(total))?;
        }
        let buffers = [Lifetime::State, Lifetime::Port, Lifetime::Transient].map(count).into_iter().sum::<usize>();
        writeln!(f, "{:<25} {buffers:>7} {:>12}", "peak", bytes(memory.peak))?;
        if memory.saved.is_empty() {
            return Ok(());
        }
        writeln!(f, "{:<25} {:>7} {:>12}", "peak if kept in f32", "", bytes(memory.peak_f32))?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<12} {:<18} {:<22} {:>12} {:>12} {:>12}",
            "kept of", "operation", "type", "bytes", "in f32", "saving"
        )?;
        let (mut total, mut total_f32) = (0, 0);
        for saved in &memory.saved {
            let (kept, float) = (saved.bytes(), saved.f32_bytes());
            total += kept;
            total_f32 += float;
            let ty = saved.ty.to_string();
            writeln!(
                f,
                "{:<12} {:<18} {ty:<22} {:>12} {:>12} {:>12}",
                saved.layer,
                saved.stem,
                bytes(kept),
                bytes(float),
                bytes(float - kept)
            )?;
        }
        let ratio = total_f32 as f64 / total as f64;
        writeln!(f, "{:<54} {:>12} {:>12} {:>11.1}×", "total", bytes(total), bytes(total_f32), ratio)
    }
}
