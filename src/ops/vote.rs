//! `vote`, `flip`: Bop ([`super::bop`]) on several ranks of a data-parallel training, which exchange
//! one bit per weight. Each rank has its own m, of its own gradients; it votes +1 for a flip where
//! |m| > τ and m has w's sign, and −1 otherwise; padding, where w is 0, has the vote 0. A weight
//! flips where the votes of all ranks add up to more than 0: where more than half of them are for
//! it, so a tie keeps it.
//!
//! The majority's vote over single bits: Bernstein, Zhao, Azizzadenesheli, Anandkumar, "signSGD with
//! majority vote is communication efficient and fault tolerant", ICLR 2019; here of Bop's decisions
//! (Helwegen et al., 2019, arXiv 1906.02107, algorithm 1) instead of the gradients' signs.

use super::bop::flips;
use super::update::{Port, Update, port};

/// A rank's votes: inputs vote (in place; its old contents are not read), w, m.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Vote {
    /// τ, at least 0.
    pub threshold: f32,
}

/// New weight: inputs w (in place), the sum of all ranks' votes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Flip;

crate::params! {
    #[doc(hidden)]
    pub struct VoteParams { quads: u32, threshold: f32 }
}

crate::params! {
    #[doc(hidden)]
    pub struct FlipParams { quads: u32 }
}

impl Update for Vote {
    type Params = VoteParams;
    const STEM: &'static str = "vote";
    const TENSORS: &'static [Port] =
        &[port("vote", "the vote"), port("w", "the weight"), port("momentum", "the momentum").finite()];
    const RATES: bool = false;
    const WGSL: &'static str =
        concat!(include_str!("../../shaders/bop_flips.wgsl"), include_str!("../../shaders/vote.wgsl"));
    /// A vote is for a flip or against it.
    const TOLERANCE: f32 = 0.0;

    fn params(&self, quads: u32) -> VoteParams {
        VoteParams { quads, threshold: self.threshold }
    }

    #[inline(always)]
    fn element(&self, [_, w, m]: [f32; 3], _rates: [f32; 4]) -> f32 {
        if w == 0.0 {
            0.0
        } else if flips(w, m, self.threshold) {
            1.0
        } else {
            -1.0
        }
    }

    /// Comparison of the magnitude with the threshold, two signs.
    fn float_ops(&self) -> usize {
        3
    }

    fn examples() -> Vec<Self> {
        vec![Self { threshold: 0.5 }]
    }
}

impl Update for Flip {
    type Params = FlipParams;
    const STEM: &'static str = "flip";
    const TENSORS: &'static [Port] = &[port("w", "the weight"), port("votes", "the sum of votes").finite()];
    const RATES: bool = false;
    const WGSL: &'static str = include_str!("../../shaders/flip.wgsl");
    /// A weight either flips or does not.
    const TOLERANCE: f32 = 0.0;

    fn params(&self, quads: u32) -> FlipParams {
        FlipParams { quads }
    }

    #[inline(always)]
    fn element(&self, [w, votes, _]: [f32; 3], _rates: [f32; 4]) -> f32 {
        if votes > 0.0 { -w } else { w }
    }

    /// A comparison.
    fn float_ops(&self) -> usize {
        1
    }

    fn examples() -> Vec<Self> {
        vec![Self]
    }
}
