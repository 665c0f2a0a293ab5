//! `objective`: appends the loss after the logits, and the record of each step's metrics.

use crate::error::Result;
use crate::graph::{Phase, Value};
use crate::kernel::FAULT;
use crate::ops::class_loss::{ClassLoss, Term};
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::{
    Graph, Leaf, Op, Role, evaluation_record, evaluation_record::EvaluationRecord, mean::Mean, record::Record,
};
use crate::schema::{Keys, Kinds, Numbers, Setting, Visitor, key};
use crate::tensor::{Encoding, Tensor, TensorType};

/// Number of steps whose loss and accuracy the device keeps before they must be read.
pub const RING: usize = 32;

/// Number of batches of an evaluation whose per-image results the device keeps before they must be
/// read.
pub const EVALUATED_BATCHES: usize = 256;

/// Loss function of a network's logits z. Training minimises its mean over a batch.
///
/// y is 1 for the class of the label, else 0; k is the number of classes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Loss {
    /// −Σ y_c·ln softmax(z)_c, with y smoothed to (1 − ε)·y + ε/k: PyTorch's `CrossEntropyLoss`.
    SoftmaxCrossEntropy {
        /// ε, from 0 to 1; 0 by default.
        label_smoothing: f32,
    },
    /// −Σ (y_c·ln σ(z_c) + (1 − y_c)·ln(1 − σ(z_c))): PyTorch's `BCEWithLogitsLoss`, but summed
    /// over classes.
    SigmoidCrossEntropy,
    /// ½·Σ (z_c − y_c)².
    SquaredError,
    /// The mean over classes of max(0, 1 − t_c·z_c)², t = 2y − 1, as in BNN.
    SquaredHinge,
}

impl Default for Loss {
    fn default() -> Self {
        Self::SoftmaxCrossEntropy { label_smoothing: 0.0 }
    }
}

/// Every loss with its defaults, its name and its formula for logits z; y is 1 for the class of the
/// label, else 0.
const LOSSES: [(Loss, &str, &str); 4] = [
    (
        Loss::SoftmaxCrossEntropy { label_smoothing: 0.0 },
        "softmax_cross_entropy",
        "−Σ y_c·ln softmax(z)_c; y is smoothed to (1 − ε)·y + ε/classes, ε = label_smoothing",
    ),
    (Loss::SigmoidCrossEntropy, "sigmoid_cross_entropy", "−Σ (y_c·ln σ(z_c) + (1 − y_c)·ln(1 − σ(z_c)))"),
    (Loss::SquaredError, "squared_error", "½·Σ (z_c − y_c)²"),
    (Loss::SquaredHinge, "squared_hinge", "mean over classes of max(0, 1 − t_c·z_c)², t = 2y − 1"),
];

impl Kinds for Loss {
    fn all(&self) -> Vec<(&'static str, &'static str)> {
        LOSSES.map(|(_, name, formula)| (name, formula)).into()
    }

    fn name(&self) -> &'static str {
        self.name()
    }

    fn choose(&mut self, at: usize) {
        *self = LOSSES[at].0;
    }
}

impl Keys for Loss {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let kind = key("kind", "the loss, whose mean over a batch is minimised; y is 1 for the label's class, else 0");
        visitor.visit(kind, Setting::Kind(self));
        if let Self::SoftmaxCrossEntropy { label_smoothing } = self {
            let share = Numbers::new(0.0..=1.0, "give a number from 0 to 1, such as 0.1");
            let smoothing = key("label_smoothing", "share of the label that is spread over all classes");
            visitor.visit(smoothing, Setting::Number(label_smoothing, share));
        }
    }
}

impl Loss {
    /// Returns its name in a recipe.
    pub fn name(&self) -> &'static str {
        let same = |(loss, ..): &&(Self, _, _)| std::mem::discriminant(loss) == std::mem::discriminant(self);
        LOSSES.iter().find(same).map_or("", |(_, name, _)| name)
    }

    /// Returns the operation that computes it, which is the first to read the logits.
    pub(crate) fn op(&self) -> Op {
        match *self {
            Self::SoftmaxCrossEntropy { label_smoothing } => SoftmaxCrossEntropy { smoothing: label_smoothing }.into(),
            Self::SigmoidCrossEntropy => ClassLoss { term: Term::SigmoidCrossEntropy }.into(),
            Self::SquaredError => ClassLoss { term: Term::SquaredError }.into(),
            Self::SquaredHinge => ClassLoss { term: Term::SquaredHinge }.into(),
        }
    }

    /// Returns the loss of one image, computed by the reference implementation.
    ///
    /// # Panics
    ///
    /// Panics if the label is not below the number of logits.
    pub fn of(&self, logits: &[f32], label: usize) -> f32 {
        assert!(label < logits.len(), "the label is a class");
        let inputs = [Tensor::from_f32(&[1, 1, 1, logits.len()], logits), Tensor::from_u32(&[1], &[label as u32])];
        self.op().evaluate(&[&inputs[0], &inputs[1]]).to_f32()[0]
    }
}

/// Appends the loss and the correctness of each image, `[n, 2]`, and returns them. Leaf: input
/// "labels" `[n]`.
///
/// # Errors
///
/// Returns an error if the logits are not `[n, 1, 1, classes]`.
pub fn objective(graph: &mut Graph, logits: Value, loss: &Loss) -> Result<Value> {
    graph.at("loss", Phase::Forward);
    let batch = graph.ty(logits).rows();
    let labels = graph.add(Leaf::input("labels", TensorType::new(&[batch], Encoding::U32)), &[])?;
    graph.add(loss.op(), &[logits, labels])
}

/// Appends the record of a step's mean loss and correctness, and of non-finite numbers, in a ring
/// buffer. Must come last, so that it includes faults of the updates.
///
/// Leaves: input "step" `[1]`; state "history" `[RING, 3]` and [`FAULT`] `[1]`.
///
/// # Errors
///
/// Returns an error if the loss is not the value returned by [`objective`].
pub fn record(graph: &mut Graph, loss: Value) -> Result<()> {
    graph.at("loss", Phase::Forward);
    let mean = graph.add(Mean { of: None }, &[loss])?;
    keep(graph, mean)
}

/// Appends the record of a step's mean loss and correctness `[2]`, with the leaves of [`record`].
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

/// Appends the record of each image's loss, predicted class and rank of the label, and of
/// non-finite numbers ([`mod@crate::ops::evaluation_record`]). Must come last.
///
/// Leaves: input "batch" `[1]`; state "judged" `[EVALUATED_BATCHES · n, 4]` and [`FAULT`] `[1]`.
///
/// # Errors
///
/// Returns an error if `losses` is not the value that [`objective`] returned for these logits.
pub fn record_evaluation(graph: &mut Graph, logits: Value, losses: Value) -> Result<()> {
    graph.at("loss", Phase::Forward);
    let (n, labels) = (graph.ty(logits).rows(), graph.node(losses).inputs[1]);
    let batch = graph.add(Leaf::input("batch", word()), &[])?;
    let fault = graph.add(state(FAULT, word()), &[])?;
    let rows =
        graph.add(state("judged", TensorType::f32(&[EVALUATED_BATCHES * n, evaluation_record::COLUMNS])), &[])?;
    graph.add(EvaluationRecord, &[rows, logits, labels, losses, batch, fault])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses of an image of class 3 that were computed by hand; ln Σ exp(z) = 20 here, as the
    /// other logits vanish beside 20.
    #[test]
    fn losses_are_as_defined() {
        let logits = [0.25, -1.5, 3.0, 20.0, -0.75];
        for (loss, wanted) in [
            (Loss::default(), 0.0),
            // 0.3 of the mean of 20 − z.
            (Loss::SoftmaxCrossEntropy { label_smoothing: 0.3 }, 0.3 * (20.0 - 21.0 / 5.0)),
            // Σ ln(1 + e^z) of the others.
            (Loss::SigmoidCrossEntropy, 0.825939 + 0.201413 + 3.048587 + 0.386871),
            (Loss::SquaredError, 186.4375),
            // (1.25² + 0 + 4² + 0 + 0.25²)/5.
            (Loss::SquaredHinge, 3.525),
        ] {
            let found = loss.of(&logits, 3);
            assert!((found - wanted).abs() <= 2e-6 * wanted.max(1.0), "{loss:?}: {found} instead of {wanted}");
        }
    }
}
