//! The scales of the values that a training step stores in half precision: [`crate::halves`].

use super::Session;
use crate::error::Result;
use crate::graph::Phase;
use crate::halves::{ROW, SCALES, SEEN, start};
use crate::plan::Plan;
use crate::train::checkpoint::HostTensor;
use std::collections::BTreeMap;

/// The rows of the table before the first step, if the plan has one.
fn rows(plan: &Plan, batch: usize) -> Option<Vec<[f32; ROW]>> {
    // A gradient that another one overwrites in this plan is not stored in half precision; with
    // another batch size it may be.
    let mut rows = vec![start(true, batch); plan.port(SCALES)?.place.ty.rows()];
    for (row, Writers { phase, .. }) in writers(plan) {
        rows[row] = start(phase == Phase::Backward, batch);
    }
    Some(rows)
}

/// The writer of a row's values: one node, or several of which the others recompute the first one's
/// result.
struct Writers<'p> {
    layer: &'p str,
    /// Phase of the first writer.
    phase: Phase,
    count: u64,
}

/// Writers by row of the table.
fn writers(plan: &Plan) -> BTreeMap<usize, Writers<'_>> {
    let mut writers: BTreeMap<usize, Writers<'_>> = BTreeMap::new();
    for node in &plan.nodes {
        if let Some(row) = node.output.scale {
            let first = Writers { layer: &node.layer, phase: node.phase, count: 0 };
            writers.entry(row).or_insert(first).count += 1;
        }
    }
    writers
}

impl Session {
    /// Resets scales to those before the first step.
    pub(super) fn start_scales(&mut self) {
        let rows = rows(self.plan(), self.batch);
        self.set_scales(rows);
    }

    /// Sets the rows of the table, if there is one.
    pub(super) fn set_scales(&mut self, rows: Option<Vec<[f32; ROW]>>) {
        let Some(rows) = rows else { return };
        self.put(SCALES, bytemuck::cast_slice(rows.as_flattened()));
        self.put(SEEN, &vec![0; rows.len() * ROW]);
    }

    /// The rows of a checkpoint's table; initial rows if it has none, as for a run in single
    /// precision, or if its table does not match.
    pub(super) fn found_scales(&self, table: Option<&HostTensor>) -> Option<Vec<[f32; ROW]>> {
        let fresh = rows(self.plan(), self.batch)?;
        let power = |v: f32| v.is_normal() && v > 0.0 && v.to_bits() << 9 == 0;
        let right = |table: &&HostTensor| {
            let rows = table.values.as_chunks::<ROW>().0;
            table.shape == [fresh.len(), ROW] && rows.iter().all(|row| power(row[0]) && row[0] * row[1] == 1.0)
        };
        Some(table.filter(right).map_or(fresh.clone(), |table| table.values.as_chunks().0.to_vec()))
    }

    /// The table, if there is one.
    pub(super) async fn scales(&mut self) -> Result<Option<HostTensor>> {
        let id = self.training();
        let Some(port) = self.backend.plan(id).port(SCALES) else { return Ok(None) };
        let shape = port.place.ty.shape.clone();
        let values = self.get(SCALES).await?.into_iter().map(f32::from_bits).collect();
        Ok(Some(HostTensor { shape, values }))
    }

    /// Adds the number of saturated values to the counts by layer.
    pub(super) async fn count_halves(&mut self, counts: &mut BTreeMap<String, u64>) -> Result<()> {
        let Some(table) = self.scales().await? else { return Ok(()) };
        for (row, Writers { layer, count, .. }) in writers(self.plan()) {
            *counts.entry(layer.to_string()).or_default() += table.values[row * ROW + 2] as u64 / count;
        }
        Ok(())
    }
}
