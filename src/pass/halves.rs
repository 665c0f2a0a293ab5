//! `halves`: selects the values of a training step that are stored in half precision, with
//! `precision = "mixed"` ([`crate::halves`]).
//!
//! These are per-image floats with spatial and channel axes: gradients of activations, and
//! activations that are not codes or sums. The following stay in single precision: the images
//! themselves, values that are a vector per image (the end of a network, from which the loss is
//! computed), values read back after the step, values overwritten by another value (with `memory =
//! "low"`), and everything that belongs to the network or to a whole batch (parameters, their
//! gradients, statistics).

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::halves::{ROW, SCALES, SEEN};
use crate::ops::half_scales::{HalfScales, HalfSeen};
use crate::ops::{Activity, Graph, Leaf, Op, Role};
use crate::schema::words;
use crate::tensor::{Encoding, TensorType};
use std::collections::HashSet;

/// The precision in which a training step stores floats of images: `train.precision`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Precision {
    /// Single precision.
    #[default]
    Full,
    /// Half precision with one scale per value for gradients of activations and float activations;
    /// single precision for sums, parameters and statistics.
    Mixed,
}

words!(Precision { Full = "f32", Mixed = "mixed" });

impl Precision {
    /// Marks the values of the graph of a training step on `batch` images, then applies `rewrite`.
    ///
    /// The rows of the table of scales are assigned before `rewrite`. They therefore do not depend
    /// on the rewrites, which may differ between the plans of a run, and a value that is computed
    /// twice has one scale.
    ///
    /// # Errors
    ///
    /// Returns the errors of `rewrite`.
    pub fn store(self, mut graph: Graph, batch: usize, rewrite: impl FnOnce(Graph) -> Result<Graph>) -> Result<Graph> {
        if self == Self::Full {
            return rewrite(graph);
        }
        let values = values(&graph, batch);
        values.iter().enumerate().for_each(|(row, &value)| graph.store_half(value, row));
        with_tables(rewrite(graph)?, values.len())
    }
}

/// Appends the computation of the next step's scales. Leaves: state [`SCALES`] and [`SEEN`]
/// `[values, 4]`, if there are such values. Must come after all other passes.
///
/// # Errors
///
/// Never returns an error for a verified graph.
fn with_tables(mut graph: Graph, values: usize) -> Result<Graph> {
    if values == 0 {
        return Ok(graph);
    }
    graph.at("", Phase::Update);
    let mut table = |name: &str, encoding| {
        let ty = TensorType::new(&[values, ROW], encoding);
        graph.add(Leaf { name: name.to_string(), ty, role: Role::State { trained: false } }, &[])
    };
    let (scales, seen) = (table(SCALES, Encoding::F32)?, table(SEEN, Encoding::U32)?);
    graph.add(HalfScales, &[scales, seen])?;
    graph.add(HalfSeen, &[seen])?;
    graph.verify();
    Ok(graph)
}

fn values(graph: &Graph, batch: usize) -> Vec<Value> {
    // Values overwritten in place stay in single precision: the old and the new value would have
    // two scales.
    let updates = graph.nodes().iter().filter_map(|node| Some(node.inputs[node.op.in_place()?]));
    let updated: HashSet<Value> = updates.collect();
    // By value: whether its first axis is the batch axis, rather than one that happens to have the
    // same length.
    let mut each_image = vec![false; graph.nodes().len()];
    let mut chosen = Vec::new();
    for (value, node) in graph.iter() {
        let made = match &node.op {
            Op::Leaf(leaf) => leaf.role == Role::Input,
            Op::Gather(_) => true,
            op => op.activity() != Some(Activity::Dw) && node.inputs.iter().any(|input| each_image[input.0]),
        };
        let ty = &node.ty;
        each_image[value.0] = made && ty.shape.len() == 4 && ty.shape[0] == batch;
        let over_places = ty.shape.len() == 4 && ty.shape[1] * ty.shape[2] > 1;
        let given = matches!(node.op, Op::Leaf(_) | Op::Gather(_)) || node.op.in_place().is_some();
        let read_back = graph.outputs.iter().any(|(_, output)| *output == value);
        if each_image[value.0]
            && over_places
            && ty.encoding == Encoding::F32
            && !given
            && !read_back
            && !updated.contains(&value)
        {
            chosen.push(value);
        }
    }
    chosen
}
