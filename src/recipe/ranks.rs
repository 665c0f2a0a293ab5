//! `[train.ranks]`: what the processes of a data-parallel training exchange. Without other processes these
//! settings have no effect.

use crate::schema::{Keys, Visitor, key, word, words};

/// `[train.ranks]`: what ranks exchange ([`crate::train::ranks`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ranks {
    /// Over which images batch-norms compute their statistics.
    pub batch_norm: Statistics,
    /// How gradients of weights are exchanged.
    pub gradients: Exchange,
}

/// How gradients of weights are exchanged; those of biases, batch-norms and scales always as floats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Exchange {
    /// As floats, summed in the order of ranks.
    #[default]
    F32,
    /// As halves with a scale for each block of 256 numbers.
    F16,
    /// As bytes with a scale for each block, rounded stochastically.
    Int8,
    /// As signs with the mean magnitude of each block, and with error feedback.
    Sign,
}

words!(Exchange { F32 = "f32", F16 = "f16", Int8 = "int8", Sign = "sign" });

/// The images over which batch-norms compute their statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Statistics {
    /// The images of all ranks, as if one process computed the whole batch.
    #[default]
    Synchronised,
    /// The images of each rank: without an exchange, and noisier.
    Local,
}

words!(Statistics { Synchronised = "synchronised", Local = "local" });

impl Keys for Ranks {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let what = "statistics of batch-norms: over the images of all processes, or of each process";
        word(visitor, key("batch_norm", what), &mut self.batch_norm);
        let what = "exchange of the weights' gradients: 32-bit, 16-bit or 8-bit numbers, or signs with error feedback";
        word(visitor, key("gradients", what), &mut self.gradients);
    }
}
