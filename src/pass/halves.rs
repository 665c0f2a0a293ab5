//! `halves`: which values of a training step are stored in half precision, with `precision = "mixed"` ([`crate::halves`]).
//!
//! Those are floats of each image over places and channels: gradients of activations, and activations that are no codes or sums. In full precision stay the images themselves, whatever is a vector for each image (the end of
//! a network, from which the loss is made), what is read back after the step, what another value overwrites (with `memory = "low"`), and everything that belongs to the network or to a whole batch: parameters, their gradients, statistics.

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::halves::{ROW, SCALES, SEEN};
use crate::ops::half_scales::{HalfScales, HalfSeen};
use crate::ops::{Activity, Graph, Leaf, Op, Role};
use crate::tensor::{Encoding, TensorType};
use std::collections::HashSet;

/// How precisely a training step stores floats of images: `train.precision`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Precision {
    /// In single precision.
    #[default]
    Full,
    /// Gradients of activations, and activations that are floats, in half precision with a scale each; sums, parameters and statistics in single precision.
    Mixed,
}

impl Precision {
    /// The words that a recipe uses.
    pub const WORDS: [(&'static str, Self); 2] = [("f32", Self::Full), ("mixed", Self::Mixed)];

    /// The word that a recipe uses for it.
    pub fn name(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// The graph of a training step on `batch` images, stored so and then rewritten by `rewrite`.
    ///
    /// The rows of the table of scales are given before: so they do not depend on what is rewritten, which may differ between the plans of a run, and what is computed twice has one scale.
    ///
    /// # Errors
    /// Those of `rewrite`.
    pub fn store(self, mut graph: Graph, batch: usize, rewrite: impl FnOnce(Graph) -> Result<Graph>) -> Result<Graph> {
        if self == Self::Full {
            return rewrite(graph);
        }
        let values = values(&graph, batch);
        values.iter().enumerate().for_each(|(row, &value)| graph.store_half(value, row));
        with_tables(rewrite(graph)?, values.len())
    }
}

/// Appends what makes the next step's scales. Leaves: state [`SCALES`] and [`SEEN`] `[values, 4]`, where there are such values. Comes behind all other passes.
///
/// # Errors
/// None in a verified graph.
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
    // What an operation overwrites stays as it is: the two would have two scales.
    let updates = graph.nodes().iter().filter_map(|node| Some(node.inputs[node.op.in_place()?]));
    let updated: HashSet<Value> = updates.collect();
    // By value: whether it holds something for each image, so that its first axis is the batch and not by chance as long.
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
