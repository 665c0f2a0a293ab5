//! `objective`: appends the loss behind the logits, and the record of what each step's batch had.

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::kernel::FAULT;
use crate::ops::class_loss::{ClassLoss, Term};
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::{Graph, Leaf, Op, Role, judge, judge::Judge, mean::Mean, record::Record};
use crate::tensor::{Encoding, TensorType};

/// Steps whose loss and accuracy the device keeps before they must be read.
pub const RING: usize = 32;

/// Batches of an evaluation whose images' rows the device keeps before they must be read.
pub const JUDGED: usize = 256;

/// What a network's logits z are measured by. Training lessens the mean over a batch.
///
/// y is 1 at the label's class, else 0; k is the number of classes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Loss {
    /// −Σ y_c·ln softmax(z)_c, with y smoothed to (1 − ε)·y + ε/k: PyTorch's `CrossEntropyLoss`.
    SoftmaxCrossEntropy {
        /// ε, from 0 to 1; 0 by default.
        label_smoothing: f32,
    },
    /// −Σ (y_c·ln σ(z_c) + (1 − y_c)·ln(1 − σ(z_c))): PyTorch's `BCEWithLogitsLoss`, but summed over classes.
    SigmoidCrossEntropy,
    /// ½·Σ (z_c − y_c)².
    SquaredError,
    /// The mean over classes of max(0, 1 − t_c·z_c)², t = 2y − 1: that of BNN.
    SquaredHinge,
}

impl Default for Loss {
    fn default() -> Self {
        Self::SoftmaxCrossEntropy { label_smoothing: 0.0 }
    }
}

impl Loss {
    /// The word that a recipe uses for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SoftmaxCrossEntropy { .. } => "softmax_cross_entropy",
            Self::SigmoidCrossEntropy => "sigmoid_cross_entropy",
            Self::SquaredError => "squared_error",
            Self::SquaredHinge => "squared_hinge",
        }
    }

    /// The operation that computes it, and looks at logits first.
    pub(crate) fn op(&self) -> Op {
        match *self {
            Self::SoftmaxCrossEntropy { label_smoothing } => SoftmaxCrossEntropy { smoothing: label_smoothing }.into(),
            Self::SigmoidCrossEntropy => ClassLoss { term: Term::SigmoidCrossEntropy }.into(),
            Self::SquaredError => ClassLoss { term: Term::SquaredError }.into(),
            Self::SquaredHinge => ClassLoss { term: Term::SquaredHinge }.into(),
        }
    }

    /// The loss of one image, on the host.
    ///
    /// # Panics
    /// When the label is not below the number of logits.
    pub fn of(&self, logits: &[f32], label: usize) -> f64 {
        let z = || logits.iter().map(|&z| f64::from(z));
        let y = |c: usize| f64::from(u8::from(c == label));
        let classes = logits.len() as f64;
        match self {
            Self::SoftmaxCrossEntropy { label_smoothing } => {
                let smoothing = f64::from(*label_smoothing);
                let largest = z().fold(f64::NEG_INFINITY, f64::max);
                let log_sum = libm::log(z().map(|z| libm::exp(z - largest)).sum()) + largest;
                let mean = z().map(|z| log_sum - z).sum::<f64>() / classes;
                (1.0 - smoothing) * (log_sum - f64::from(logits[label])) + smoothing * mean
            }
            Self::SigmoidCrossEntropy => {
                z().enumerate().map(|(c, z)| z.max(0.0) - z * y(c) + libm::log1p(libm::exp(-z.abs()))).sum()
            }
            Self::SquaredError => z().enumerate().map(|(c, z)| 0.5 * (z - y(c)).powi(2)).sum(),
            Self::SquaredHinge => {
                let short = |(c, z): (usize, f64)| (1.0 - (2.0 * y(c) - 1.0) * z).max(0.0);
                z().enumerate().map(|class| short(class).powi(2)).sum::<f64>() / classes
            }
        }
    }
}

/// Appends the loss of each image, `[n, 2]` with its correctness, and returns it. Leaf: input "labels" `[n]`.
///
/// # Errors
/// When the logits are not `[n, 1, 1, classes]`.
pub fn objective(graph: &mut Graph, logits: Value, loss: &Loss) -> Result<Value> {
    graph.at("loss", Phase::Forward);
    let batch = graph.ty(logits).rows();
    let labels = graph.add(Leaf::input("labels", TensorType::new(&[batch], Encoding::U32)), &[])?;
    graph.add(loss.op(), &[logits, labels])
}

/// Appends what keeps a step's mean loss and correctness, and whether a number was not finite, in a ring. Comes last, to see faults of the updates too.
///
/// Leaves: input "step" `[1]`; state "history" `[RING, 3]` and [`FAULT`] `[1]`.
///
/// # Errors
/// When the loss is not what [`objective`] returns.
pub fn record(graph: &mut Graph, loss: Value) -> Result<()> {
    graph.at("loss", Phase::Forward);
    let mean = graph.add(Mean { of: None }, &[loss])?;
    keep(graph, mean)
}

/// Appends what keeps a step's mean loss and correctness `[2]`, with the leaves of [`record`].
pub(super) fn keep(graph: &mut Graph, mean: Value) -> Result<()> {
    let step = graph.add(Leaf::input("step", word()), &[])?;
    let fault = graph.add(state(FAULT, word()), &[])?;
    let history = graph.add(state("history", TensorType::f32(&[RING, 3])), &[])?;
    graph.add(Record, &[history, mean, step, fault])?;
    Ok(())
}

fn word() -> TensorType {
    TensorType::new(&[1], Encoding::U32)
}

pub(super) fn state(name: &str, ty: TensorType) -> Leaf {
    Leaf { name: name.to_string(), ty, role: Role::State { trained: false } }
}

/// Appends what keeps the loss, the predicted class and the label's rank of each image, and whether a number was not finite ([`mod@judge`]). Comes last.
///
/// Leaves: input "batch" `[1]`; state "judged" `[JUDGED · n, 4]` and [`FAULT`] `[1]`.
///
/// # Errors
/// When `losses` is not what [`objective`] returned for these logits.
pub fn judge(graph: &mut Graph, logits: Value, losses: Value) -> Result<()> {
    graph.at("loss", Phase::Forward);
    let (n, labels) = (graph.ty(logits).rows(), graph.node(losses).inputs[1]);
    let batch = graph.add(Leaf::input("batch", word()), &[])?;
    let fault = graph.add(state(FAULT, word()), &[])?;
    let rows = graph.add(state("judged", TensorType::f32(&[JUDGED * n, judge::COLUMNS])), &[])?;
    graph.add(Judge, &[rows, logits, labels, losses, batch, fault])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    /// What the host says of an image is what the device's twin records of it.
    #[test]
    fn the_host_and_the_device_measure_the_same() {
        let losses = [
            Loss::default(),
            Loss::SoftmaxCrossEntropy { label_smoothing: 0.3 },
            Loss::SigmoidCrossEntropy,
            Loss::SquaredError,
            Loss::SquaredHinge,
        ];
        let mut seen = Vec::new();
        for loss in losses {
            for label in 0..5 {
                let logits = [0.25, -1.5, 3.0, 20.0, -0.75];
                let inputs = [Tensor::from_f32(&[1, 1, 1, 5], &logits), Tensor::from_u32(&[1], &[label])];
                let [twin, correct] = loss.op().evaluate(&[&inputs[0], &inputs[1]]).to_f32()[..] else { panic!() };
                let host = loss.of(&logits, label as usize);
                assert!(
                    (host - f64::from(twin)).abs() <= 1e-6 * host.abs().max(1.0),
                    "{loss:?} {label}: {host} {twin}"
                );
                assert_eq!(correct, f32::from(label == 3));
                seen.push(host);
            }
        }
        // By hand, of the label 3: ½(0.25² + 1.5² + 3² + 19² + 0.75²) and (1.25² + 0 + 4² + 0 + 0.25²)/5.
        assert_eq!(seen[3 * 5 + 3], 186.4375);
        assert!((seen[4 * 5 + 3] - 3.525).abs() < 1e-12);
    }
}
