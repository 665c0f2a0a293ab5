//! Text form of a plan: launches, slots, memory use. Also used by golden files.

use super::{Lifetime, Plan, PlanNode};
use crate::ops::Op;
use crate::text::columns;
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
        f.write_str(&self.print(None, |_| ""))
    }
}

impl Plan {
    /// Returns the plan as text, at most `width` characters wide if possible, with a mark behind the
    /// first launch of a node.
    pub fn print(&self, width: Option<usize>, mark: impl Fn(&PlanNode) -> &'static str) -> String {
        let moved = self.steps.iter().map(|step| step.cost.bytes).sum();
        format!(
            "{}\n{} launches, of which {} wait for earlier ones; they move {}\n\n{}{}",
            columns("rlllrlrl", &self.launches(mark), width),
            self.steps.len(),
            self.waits(),
            bytes(moved),
            columns("lrr", &self.totals(), width),
            columns("lllrrr", &self.kept(), width)
        )
    }

    fn launches(&self, mark: impl Fn(&PlanNode) -> &'static str) -> String {
        let mut text = "launch\tlayer\tkernel\toutput\tslot\treads slots\tworkgroups\n".to_string();
        let mut printed = 0;
        for node in self.nodes.iter().filter(|node| !matches!(node.op, Op::Leaf(_))) {
            let reads: Vec<_> = node.inputs.iter().map(|place| place.slot.to_string()).collect();
            // Of launches shared with other nodes, one line suffices.
            let from = if node.steps.start < printed { node.steps.end.saturating_sub(1) } else { node.steps.start };
            for index in from..node.steps.end {
                let step = &self.steps[index];
                let [x, y] = step.groups;
                let groups = if y == 1 { x.to_string() } else { format!("{x}×{y}") };
                let mark = if index == node.steps.start { mark(node) } else { "" };
                let rest = format!("{}\t{}\t{}", node.output.stored(), node.output.slot, reads.join(" "));
                // Among nodes that share a dispatch, the first names it.
                text += &match index >= printed {
                    true => {
                        let kernel = &self.kernels[step.kernel].label;
                        format!("{index}\t{}\t{kernel}\t{rest}\t{groups}\t{mark}\n", node.layer)
                    }
                    false => format!("\t{}\t{}\t{rest}\n", node.layer, node.op.stem()),
                };
                printed = printed.max(index + 1);
            }
        }
        text
    }

    /// Returns the number of buffers and their bytes by lifetime.
    fn totals(&self) -> String {
        let count = |lifetime| match &self.packing {
            Some(packing) if lifetime == Lifetime::Transient => packing.buffers.len(),
            _ => self.slots.iter().filter(|slot| slot.lifetime == lifetime).count(),
        };
        let [state, ports, transient] = [Lifetime::State, Lifetime::Port, Lifetime::Transient].map(count);
        let memory = &self.memory;
        let mut text = "memory\tbuffers\tbytes\n".to_string();
        for (name, count, total) in [
            ("state", state, memory.state),
            ("inputs and outputs", ports, memory.ports),
            ("transient", transient, memory.transient),
            ("peak", state + ports + transient, memory.peak),
        ] {
            text += &format!("{name}\t{count}\t{}\n", bytes(total));
        }
        if !memory.saved.is_empty() {
            text += &format!("peak if kept in f32\t\t{}\n\n", bytes(memory.peak_f32));
        }
        text
    }

    /// Returns what is kept for the backward pass.
    fn kept(&self) -> String {
        if self.memory.saved.is_empty() {
            return String::new();
        }
        let mut text = "kept of\toperation\ttype\tbytes\tin f32\tsaving\n".to_string();
        let (mut total, mut total_f32) = (0, 0);
        for saved in &self.memory.saved {
            let (kept, float) = (saved.bytes(), saved.f32_bytes());
            (total, total_f32) = (total + kept, total_f32 + float);
            let saving = [kept, float, float - kept].map(bytes).join("\t");
            text += &format!("{}\t{}\t{}\t{saving}\n", saved.layer, saved.stem, saved.ty);
        }
        let ratio = total_f32 as f64 / total as f64;
        text + &format!("total\t\t\t{}\t{}\t{ratio:.1}×\n", bytes(total), bytes(total_f32))
    }
}
