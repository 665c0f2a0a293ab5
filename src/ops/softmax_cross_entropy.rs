//! `softmax_cross_entropy`: for each row of logits, loss = ln Σ exp(x_c) − Σ y_c·x_c, and whether
//! the largest logit (the first one in case of ties) is that of the label.
//!
//! y = (1 − ε)·one-hot + ε/k, with the label smoothing ε as defined by PyTorch. logits
//! `[n, 1, 1, k]`, labels `[n]` (`U32`) → `[n, 2]`: loss, 1 or 0. The objective of a step is the
//! mean loss; `softmax_cross_entropy_backward` is its gradient, (softmax − y)/n.
//!
//! **Order of the sums** ([`super::sum`]): chunks of [`CHUNK`](super::sum::CHUNK) = 128 classes, then pairs.

use super::{Backward, Operation, Sample, sample::Noise, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut,
};

/// Loss of each row: inputs logits, labels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SoftmaxCrossEntropy {
    /// Label smoothing ε, from 0 to 1.
    pub smoothing: f32,
}

/// Gradient of the mean loss: inputs logits, labels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SoftmaxCrossEntropyBackward {
    /// Label smoothing ε, from 0 to 1.
    pub smoothing: f32,
    /// Number of images of the step if these rows are only a micro-batch of it; `None` if they are
    /// the whole step.
    pub of: Option<usize>,
}

crate::params! {
    struct SoftmaxParams { rows: u32, quads: u32, scale: f32, hit: f32, miss: f32 }
}

/// Checks that the inputs are logits and their labels; returns the number of rows.
pub(super) fn check(inputs: &[&TensorType]) -> Result<usize, String> {
    super::arity(inputs, 2)?;
    super::float("the logits", inputs[0])?;
    let rows = inputs[0].rows();
    super::same("the labels", inputs[1], &TensorType::new(&[rows], U32))?;
    Ok(rows)
}

/// Target weights with smoothing: the additional weight of the label's class, and the weight of
/// every class.
fn shares(smoothing: f32, classes: usize) -> (f32, f32) {
    (1.0 - smoothing, smoothing / classes as f32)
}

/// Factor of the gradient of a row's loss: 1 over the number of rows of the mean, which are these
/// rows or all images of a step.
pub(super) fn share(of: Option<usize>, rows: usize) -> f32 {
    1.0 / of.unwrap_or(rows) as f32
}

fn launch(label: &str, smoothing: f32, inputs: &[&TensorType], backward: bool, of: Option<usize>) -> Launch {
    let (rows, (hit, miss)) = (inputs[0].rows(), shares(smoothing, inputs[0].channels()));
    let (scale, quads) = (share(of, rows), inputs[0].quads() as u32);
    let params = SoftmaxParams { rows: rows as u32, quads, scale, hit, miss };
    let launch = Launch::new(label, &[include_str!("../../shaders/softmax_cross_entropy.wgsl")]);
    let launch = sum::running(launch, inputs[0].channels())
        .constant("CLASSES", inputs[0].channels())
        .constant("BACKWARD", usize::from(backward))
        .read("x", F32, Input(0));
    // The loss has already checked these inputs, so its gradient need not.
    let launch = if backward { launch } else { launch.must_be_finite() };
    launch.read("labels", U32, Input(1)).params(&params).threads(rows)
}

impl Operation for SoftmaxCrossEntropy {
    fn stem(&self) -> &'static str {
        "softmax_cross_entropy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32(&[check(inputs)?, 2]))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (logits, labels) = (cx.input(0), cx.input(1));
        let dx = cx.add(SoftmaxCrossEntropyBackward { smoothing: self.smoothing, of: None }, &[logits, labels])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Program {
        // Per class: the maximum, the difference, its exponential, two sums.
        launch("softmax_cross_entropy", self.smoothing, inputs, false, None)
            .write("loss", F32, Output)
            .float_ops(5 * inputs[0].len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (classes, lanes) = (inputs[0].ty.channels(), inputs[0].ty.lanes());
        let (x, labels) = (inputs[0].numbers(), inputs[1].words);
        let out = output.floats();
        out.fill(0.0);
        for (row, (out, x)) in out.chunks_exact_mut(4).zip(x.chunks_exact(lanes)).enumerate() {
            let label = labels[row] as usize;
            let (winner, largest) = x[..classes]
                .iter()
                .enumerate()
                .fold((0, f32::NEG_INFINITY), |best, (c, &v)| if v > best.1 { (c, v) } else { best });
            let sum = sum::of(x[..classes].iter().map(|v| libm::expf(v - largest)));
            let below = sum::of(x[..classes].iter().map(|v| v - largest));
            let (hit, miss) = shares(self.smoothing, classes);
            out[0] = libm::logf(sum) - hit * (x[label] - largest) - miss * below;
            out[1] = f32::from(winner == label);
        }
    }
}

impl SoftmaxCrossEntropy {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(50);
        let cases = [(29, 10, 0.0), (1, 2, 0.0), (70, 100, 0.1), (64, 7, 1.0)].into_iter();
        cases
            .map(|(rows, classes, smoothing)| {
                let logits = noise.floats(&[rows, 1, 1, classes]);
                Sample::new(SoftmaxCrossEntropy { smoothing }, vec![logits, noise.words(&[rows], classes as u32)])
            })
            .collect()
    }
}

impl Operation for SoftmaxCrossEntropyBackward {
    fn stem(&self) -> &'static str {
        "softmax_cross_entropy_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs)?;
        Ok(inputs[0].clone())
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Program {
        // The same, then the difference and its exponential again, the normalisation, the target,
        // the scale.
        launch("softmax_cross_entropy_backward", self.smoothing, inputs, true, self.of)
            .write("dx", F32, Output)
            .float_ops(9 * inputs[0].len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (classes, lanes, rows) = (inputs[0].ty.channels(), inputs[0].ty.lanes(), inputs[0].ty.rows());
        let (x, labels) = (inputs[0].numbers(), inputs[1].words);
        let (hit, miss) = shares(self.smoothing, classes);
        let out = output.floats();
        out.fill(0.0);
        for (row, (out, x)) in out.chunks_exact_mut(lanes).zip(x.chunks_exact(lanes)).enumerate() {
            let largest = x[..classes].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum = sum::of(x[..classes].iter().map(|&v| libm::expf(v - largest)));
            for c in 0..classes {
                let target = if c == labels[row] as usize { hit + miss } else { miss };
                out[c] = (libm::expf(x[c] - largest) / sum - target) * share(self.of, rows);
            }
        }
    }
}

impl SoftmaxCrossEntropyBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let samples = SoftmaxCrossEntropy::samples().into_iter().zip([
            (0.0, None),
            (0.0, Some(3)),
            (0.1, None),
            (1.0, Some(256)),
        ]);
        let op = |(smoothing, of)| SoftmaxCrossEntropyBackward { smoothing, of };
        samples.map(|(sample, of)| Sample::new(op(of), sample.inputs)).collect()
    }
}
