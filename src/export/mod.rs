//! Export of trained networks: folded to bit operations and integers, and written in formats that
//! other programs read.
//!
//! [`fold`] turns a checkpoint into a [`Network`] of `halfwave-infer`; every format is derived from
//! that network, so that all of them give the same answers.

mod constants;
mod fold;
mod lower;
mod thresholds;

pub use fold::{Trained, fold};
pub use halfwave_infer::Network;
