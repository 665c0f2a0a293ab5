//! `synchronise`: batch-norms whose statistics are those of the images of all ranks.
//!
//! Where a batch-norm has reduced this rank's images, a [`Synchronise`] node follows, at which the session
//! exchanges the result: sums of integers (exact), mean and variance of floats, and in the backward pass the sums
//! that dx needs. The gradients of γ and β remain those of this rank's images, as all other gradients of parameters.

use crate::error::Result;
use crate::graph::Value;
use crate::ops::batch_norm_moments::{BatchNormFinish, BatchNormMoments};
use crate::ops::synchronise::{Shared, Synchronise};
use crate::ops::{Graph, Op};
use std::collections::HashMap;

/// Name prefix of the outputs that ranks exchange within a step.
const SHARED: &str = "shared/";

/// Inserts the exchanges into the graph of a training step on `images` of `together` images of all ranks.
///
/// # Errors
///
/// Never returns an error for a verified graph.
pub(super) fn synchronise(graph: &Graph, [images, together]: [usize; 2]) -> Result<Graph> {
    let all = |rows: usize| rows / images * together;
    let mut count = 0;
    let mut exchange = |new: &mut Graph, value: Value, shared: Shared, rows: usize| {
        new.output(format!("{SHARED}{count}"), value);
        count += 1;
        new.add(Synchronise { shared, rows }, &[value])
    };
    let mut gradients = HashMap::new();
    graph.rebuild(|new, _, node, inputs| {
        let rows = inputs.first().map_or(0, |&x| new.ty(x).rows());
        let made = match &node.op {
            Op::BatchNormStats(op) if new.ty(inputs[0]).is_exact() => {
                let moments = new.add(BatchNormMoments { largest: op.largest, rows: all(rows) }, inputs)?;
                let moments = exchange(new, moments, Shared::Moments, rows)?;
                new.add(BatchNormFinish { rows: all(rows) }, &[moments])?
            }
            Op::BatchNormStats(op) => {
                let stats = new.add(*op, inputs)?;
                exchange(new, stats, Shared::Statistics, rows)?
            }
            Op::BatchNormDx(op) => {
                let mut inputs = inputs.to_vec();
                inputs[3] = match gradients.get(&inputs[3]) {
                    Some(&sums) => sums,
                    None => {
                        let sums = exchange(new, inputs[3], Shared::Gradients, rows)?;
                        *gradients.entry(inputs[3]).or_insert(sums)
                    }
                };
                new.add(*op, &inputs)?
            }
            op => new.add(op.clone(), inputs)?,
        };
        Ok(Some(made))
    })
}
