//! `class_loss`: for each row of logits z, the sum of a per-class term, and whether the largest
//! logit (the first one in case of ties) is that of the label.
//!
//! With y = 1 at the label, else 0, t = 2y − 1, and k classes:
//!
//! | term | per class | derivative with respect to z | source |
//! |---|---|---|---|
//! | sigmoid cross-entropy | max(z, 0) − z·y + ln(1 + e^−abs(z)) | σ(z) − y | −y·ln σ(z) − (1 − y)·ln(1 − σ(z)), rewritten so that nothing overflows |
//! | squared error | ½(z − y)² | z − y | |
//! | squared hinge | max(0, 1 − t·z)²/k | −2t·max(0, 1 − t·z)/k | BNN (Courbariaux et al., 2016, arXiv 1602.02830) |
//!
//! logits `[n, 1, 1, k]`, labels `[n]` (`U32`) → `[n, 2]`: loss, 1 or 0. The objective of a step is
//! the mean loss; `class_loss_backward` is its gradient.
//!
//! **Order of the sum** ([`super::sum`]): chunks of [`CHUNK`](super::sum::CHUNK) = 128 classes,
//! then pairs.

use super::evaluation_record::winner;
use super::softmax_cross_entropy::{check, share};
use super::{Backward, Operation, Sample, sample::Noise, sum};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Launch, Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    TensorType, View, ViewMut,
};

/// Contribution of a class to the loss.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Term {
    /// −ln of the probability of the correct answer, σ(z) or 1 − σ(z).
    SigmoidCrossEntropy,
    /// ½(z − y)².
    SquaredError,
    /// max(0, 1 − t·z)²/k.
    SquaredHinge,
}

/// Loss of each row: inputs logits, labels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClassLoss {
    /// Term that is summed over the classes.
    pub term: Term,
}

/// Gradient of the mean loss: inputs logits, labels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClassLossBackward {
    /// Term that is summed over the classes.
    pub term: Term,
    /// Number of images of the step if these rows are only a micro-batch of it; `None` if they are
    /// the whole step.
    pub of: Option<usize>,
}

crate::params! {
    struct LossParams { rows: u32, quads: u32, scale: f32 }
}

impl Term {
    /// All terms.
    pub const ALL: [Self; 3] = [Self::SigmoidCrossEntropy, Self::SquaredError, Self::SquaredHinge];

    fn name(self) -> &'static str {
        match self {
            Self::SigmoidCrossEntropy => "sigmoid",
            Self::SquaredError => "squared",
            Self::SquaredHinge => "hinge",
        }
    }

    /// WGSL: `term(z, y)` of a class and `slope(z, y)` of a quad of classes, for the hinge without
    /// the division by k.
    fn text(self) -> &'static str {
        match self {
            Self::SigmoidCrossEntropy => include_str!("../../shaders/class_loss_sigmoid.wgsl"),
            Self::SquaredError => include_str!("../../shaders/class_loss_squared.wgsl"),
            Self::SquaredHinge => include_str!("../../shaders/class_loss_hinge.wgsl"),
        }
    }

    /// Float operations per class in the forward pass; the backward pass takes no more.
    fn ops(self) -> usize {
        match self {
            Self::SigmoidCrossEntropy => 7,
            Self::SquaredError => 3,
            Self::SquaredHinge => 5,
        }
    }

    /// Factor of the sum over `classes`.
    fn weight(self, classes: usize) -> f32 {
        if self == Self::SquaredHinge { 1.0 / classes as f32 } else { 1.0 }
    }

    fn of(self, z: f32, y: f32) -> f32 {
        match self {
            Self::SigmoidCrossEntropy => z.max(0.0) - z * y + libm::logf(1.0 + libm::expf(-z.abs())),
            Self::SquaredError => 0.5 * (z - y) * (z - y),
            Self::SquaredHinge => {
                let short = (1.0 - (2.0 * y - 1.0) * z).max(0.0);
                short * short
            }
        }
    }

    fn slope(self, z: f32, y: f32) -> f32 {
        match self {
            Self::SigmoidCrossEntropy => {
                let e = libm::expf(-z.abs());
                (if z >= 0.0 { 1.0 } else { e }) / (1.0 + e) - y
            }
            Self::SquaredError => z - y,
            Self::SquaredHinge => {
                let t = 2.0 * y - 1.0;
                -2.0 * t * (1.0 - t * z).max(0.0)
            }
        }
    }
}

fn launch(label: &str, term: Term, inputs: &[&TensorType], backward: bool, of: Option<usize>) -> Launch {
    let (rows, classes) = (inputs[0].rows(), inputs[0].channels());
    let scale = term.weight(classes) * if backward { share(of, rows) } else { 1.0 };
    let texts = [term.text(), include_str!("../../shaders/class_loss.wgsl")];
    let launch = sum::running(Launch::new(format!("{label}_{}", term.name()), &texts), classes)
        .constant("CLASSES", classes)
        .constant("BACKWARD", usize::from(backward))
        .read("x", F32, Input(0));
    // The loss has already checked these inputs, so its gradient need not.
    let launch = if backward { launch } else { launch.must_be_finite() };
    launch
        .read("labels", U32, Input(1))
        .params(&LossParams { rows: rows as u32, quads: inputs[0].quads() as u32, scale })
        .threads(rows)
        .float_ops((term.ops() + 2) * inputs[0].len())
}

impl Operation for ClassLoss {
    fn stem(&self) -> &'static str {
        "class_loss"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32(&[check(inputs)?, 2]))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        let (logits, labels) = (cx.input(0), cx.input(1));
        let dx = cx.add(ClassLossBackward { term: self.term, of: None }, &[logits, labels])?;
        cx.accumulate(0, dx)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Program {
        launch("class_loss", self.term, inputs, false, None).write("loss", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (classes, lanes) = (inputs[0].ty.channels(), inputs[0].ty.lanes());
        let (x, labels) = (inputs[0].numbers(), inputs[1].words);
        let out = output.floats();
        out.fill(0.0);
        for (row, (out, x)) in out.chunks_exact_mut(4).zip(x.chunks_exact(lanes)).enumerate() {
            let terms = (0..classes).map(|c| self.term.of(x[c], f32::from(c == labels[row] as usize)));
            out[0] = sum::of(terms) * self.term.weight(classes);
            out[1] = f32::from(winner(&x[..classes]) == labels[row] as usize);
        }
    }
}

/// Rows and classes for each term; logits on both sides of the hinge's kinks and far enough from 0
/// to saturate a sigmoid.
fn cases(seed: u64) -> Vec<(Term, Vec<crate::tensor::Tensor>)> {
    let mut noise = Noise::new(seed);
    let mut cases = Vec::new();
    for term in Term::ALL {
        for (rows, classes, reach) in [(29, 10, 1.0), (1, 2, 1.0), (70, 101, 1.0), (64, 7, 30.0)] {
            let far: Vec<_> = noise.floats(&[rows, classes]).to_f32().into_iter().map(|v| v * reach).collect();
            let logits = crate::tensor::Tensor::from_f32(&[rows, 1, 1, classes], &far);
            cases.push((term, vec![logits, noise.words(&[rows], classes as u32)]));
        }
    }
    cases
}

impl ClassLoss {
    pub(super) fn samples() -> Vec<Sample> {
        cases(60).into_iter().map(|(term, inputs)| Sample::new(ClassLoss { term }, inputs)).collect()
    }
}

impl Operation for ClassLossBackward {
    fn stem(&self) -> &'static str {
        "class_loss_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs)?;
        Ok(inputs[0].clone())
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Program {
        launch("class_loss_backward", self.term, inputs, true, self.of).write("dx", F32, Output).into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (classes, lanes, rows) = (inputs[0].ty.channels(), inputs[0].ty.lanes(), inputs[0].ty.rows());
        let (x, labels) = (inputs[0].numbers(), inputs[1].words);
        let scale = self.term.weight(classes) * share(self.of, rows);
        let out = output.floats();
        out.fill(0.0);
        for (row, (out, x)) in out.chunks_exact_mut(lanes).zip(x.chunks_exact(lanes)).enumerate() {
            for c in 0..classes {
                out[c] = self.term.slope(x[c], f32::from(c == labels[row] as usize)) * scale;
            }
        }
    }
}

impl ClassLossBackward {
    pub(super) fn samples() -> Vec<Sample> {
        let of = [None, Some(96)].into_iter().cycle();
        cases(61)
            .into_iter()
            .zip(of)
            .map(|((term, inputs), of)| Sample::new(ClassLossBackward { term, of }, inputs))
            .collect()
    }
}
