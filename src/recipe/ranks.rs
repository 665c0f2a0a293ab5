//! `[train.ranks]`: what the processes of a data-parallel training exchange. Without other processes these
//! settings have no effect.

use crate::schema::{Keys, Visitor, key, word, words};

/// `[train.ranks]`: what ranks exchange ([`crate::train::ranks`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ranks {
    /// Over which images batch-norms compute their statistics.
    pub batch_norm: Statistics,
}

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
    }
}
