//! `[train.ranks]`: what the processes of a data-parallel training exchange. Without other processes these
//! settings have no effect.

use crate::pass::Optimizer;
use crate::schema::{Keys, Setting, Visitor, key, word, words};

/// `[train.ranks]`: what ranks exchange ([`crate::train::ranks`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ranks {
    /// Over which images batch-norms compute their statistics.
    pub batch_norm: Statistics,
    /// How gradients of weights are exchanged.
    pub gradients: Exchange,
    /// Whether votes on flips are exchanged instead of the gradients of weights that the optimiser flips. False by
    /// default.
    pub flips: bool,
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
        let what = "whether processes vote on flips, one bit per weight, instead of exchanging the gradients of weights that `bop` flips";
        visitor.visit(key("flips", what), Setting::Flag(&mut self.flips));
    }
}

impl Ranks {
    /// Why these settings do not fit the optimiser, if they do not: the key at fault, and what to do.
    pub(super) fn fault(&self, optimizer: &Optimizer) -> Option<(&'static str, String)> {
        let why = match optimizer.clip_norm {
            _ if !self.flips => return None,
            _ if !optimizer.rule.flips() => {
                format!("\"{}\" flips no weights; use \"bop\", or remove this", optimizer.name())
            }
            Some(_) => {
                "clip_norm needs the norm of all gradients, and those of weights that flip are not exchanged; remove one of the two".into()
            }
            None => return None,
        };
        Some(("flips", why))
    }
}
