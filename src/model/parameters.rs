//! The tensors that layers keep from step to step. Graph leaves, initial values, optimiser updates
//! and the tensors of checkpoints are derived from this table.

use super::{LayerKind, Learned, Model, ModelError, Rounding};
use crate::tensor::{Encoding, LANES, TensorType};

/// A tensor that a layer keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The layer that it belongs to.
    pub layer: String,
    /// Its name on the device: the layer's name, a full stop, and the tensor's name.
    pub name: String,
    /// How a step changes it.
    pub role: Role,
    /// ⟨IL, FL⟩ and the rounding mode, if it is kept in fixed point.
    pub fixed: Option<([usize; 2], Rounding)>,
    /// Its parts on the host with initial values, and their layout on the device.
    pub layout: Layout,
}

/// How a step changes a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The weight of a convolution or linear layer: trained, and subject to weight decay unless a
    /// group overrides it.
    Weight {
        /// Whether an optimiser may flip it: [`Weights::binary`](super::Weights::binary).
        binary: bool,
        /// Whether it is clipped to [−1, 1].
        clipped: bool,
    },
    /// Another trained parameter: a bias, γ and β of a batch-norm, a learned scale.
    Trained,
    /// A tensor without a gradient: running statistics, counts.
    Untrained,
}

/// The memory layout of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// The weight of filters over a window of channels; two-dimensional on the host for a linear
    /// layer.
    Filters {
        /// Number of filters.
        filters: usize,
        /// Input channels per filter.
        channels: usize,
        /// Height and width of the window.
        window: [usize; 2],
        /// Whether the host's tensor has two axes.
        flat: bool,
    },
    /// Rows of equal length, each a part with its own initial value.
    Rows {
        /// Numbers per row.
        length: usize,
        /// Names and initial values of the parts.
        parts: Vec<(String, f32)>,
    },
    /// A 64-bit count, initially 0.
    Count,
}

/// Numbers that hold a count on the host.
pub const DIGITS: usize = 3;

impl Parameter {
    fn new(layer: &str, what: &str, role: Role, layout: Layout) -> Self {
        Self { layer: layer.to_string(), name: format!("{layer}.{what}"), role, fixed: None, layout }
    }

    /// Creates a parameter with a single row, whose part has the same name.
    fn row(layer: &str, what: &str, length: usize, start: f32) -> Self {
        let parts = vec![(format!("{layer}.{what}"), start)];
        Self::new(layer, what, Role::Trained, Layout::Rows { length, parts })
    }

    /// Creates the count of saturated numbers of a layer.
    fn count(layer: &str) -> Self {
        Self::new(layer, "saturated", Role::Untrained, Layout::Count)
    }

    /// Whether it has a gradient.
    pub fn trained(&self) -> bool {
        self.role != Role::Untrained
    }

    /// Whether it is a weight that an optimiser may flip.
    pub fn binary(&self) -> bool {
        matches!(self.role, Role::Weight { binary: true, .. })
    }

    /// Whether it counts saturated numbers.
    pub fn counts(&self) -> bool {
        self.layout == Layout::Count
    }

    /// Returns its type on the device.
    pub fn ty(&self) -> TensorType {
        match &self.layout {
            Layout::Filters { filters, channels, window: [r, s], .. } => {
                TensorType::f32(&[*r, *s, channels.next_multiple_of(LANES), *filters])
            }
            Layout::Rows { length, parts } if parts.len() == 1 => TensorType::f32(&[*length]),
            Layout::Rows { length, parts } => TensorType::f32(&[parts.len(), *length]),
            Layout::Count => TensorType::new(&[2], Encoding::U32),
        }
    }

    /// Returns names and shapes of its parts on the host.
    pub fn host(&self) -> Vec<(String, Vec<usize>)> {
        match &self.layout {
            Layout::Filters { filters, channels, window: [r, s], flat } => {
                let shape = if *flat { vec![*filters, channels * r * s] } else { vec![*filters, *channels, *r, *s] };
                vec![(self.name.clone(), shape)]
            }
            Layout::Rows { length, parts } => parts.iter().map(|(name, _)| (name.clone(), vec![*length])).collect(),
            Layout::Count => vec![(self.name.clone(), vec![DIGITS])],
        }
    }
}

impl Model {
    /// Returns the parameters of all layers, in the order of the layers.
    ///
    /// # Errors
    ///
    /// Returns an error if the model is invalid.
    pub fn parameters(&self) -> Result<Vec<Parameter>, ModelError> {
        let shapes = self.shapes()?;
        let mut all = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let source = self.reads(index)?[0];
            all.extend(kept(&layer.name, &layer.kind, source.map_or(self.input, |source| shapes[source])));
        }
        Ok(all)
    }
}

/// Returns the number of trained values: weights and biases, scales and shifts of batch-norms,
/// learned scales of quantisers.
pub fn trained_len(parameters: &[Parameter]) -> u64 {
    let parts = parameters.iter().filter(|parameter| parameter.trained()).flat_map(Parameter::host);
    parts.map(|(_, shape)| shape.iter().map(|&side| side as u64).product::<u64>()).sum()
}

/// Returns the parameters of a layer with this name, whose input has these channels, height and
/// width.
fn kept(name: &str, kind: &LayerKind, [channels, height, width]: [usize; 3]) -> Vec<Parameter> {
    let (filters, channels, window, flat, bias, weights) = match kind {
        LayerKind::Conv(conv) => (conv.filters, channels / conv.groups, conv.kernel, false, conv.bias, conv.weights),
        LayerKind::Linear(linear) => (linear.units, channels, [height, width], true, linear.bias, linear.weights),
        LayerKind::BatchNorm(settings) => {
            let parts = [("running_mean", 0.0), ("running_var", 1.0)];
            let parts = parts.map(|(part, start)| (format!("{name}.{part}"), start)).to_vec();
            let running = Parameter::new(name, "running", Role::Untrained, Layout::Rows { length: channels, parts });
            let affine =
                [("weight", 1.0), ("bias", 0.0)].map(|(what, start)| Parameter::row(name, what, channels, start));
            return [running].into_iter().chain(affine.into_iter().filter(|_| settings.affine)).collect();
        }
        LayerKind::Fixed(_) => return vec![Parameter::count(name)],
        kind => {
            let learned = kind.definition().learned(channels).into_iter();
            return learned.map(|Learned { name: what, len, start }| Parameter::row(name, what, len, start)).collect();
        }
    };
    let fixed = weights.fixed().map(|fixed| (fixed.format, fixed.rounding));
    let clipped = weights.packed().is_some_and(|packed| packed.clip);
    let role = Role::Weight { binary: weights.binary(), clipped };
    let weight = Parameter::new(name, "weight", role, Layout::Filters { filters, channels, window, flat });
    // A bias begins at 0, which every format represents.
    let bias = bias.then(|| Parameter { fixed, ..Parameter::row(name, "bias", filters, 0.0) });
    let count = fixed.map(|_| Parameter::count(name));
    bias.into_iter().chain([Parameter { fixed, ..weight }]).chain(count).collect()
}
