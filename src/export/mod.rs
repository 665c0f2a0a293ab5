//! Export of trained networks: folded to bit operations and integers, and written in formats that
//! other programs read.
//!
//! [`fold`] turns a checkpoint into a [`Network`] of `halfwave-infer`; every format is derived from
//! that network, so that all of them give the same answers.

mod constants;
mod device;
mod fold;
mod graph;
mod lower;
pub mod onnx;
#[cfg(not(target_arch = "wasm32"))]
mod packed;
mod thresholds;
mod weights;

pub use device::DeviceRunner;
pub use fold::{Trained, fold};
pub use halfwave_infer::Network;
#[cfg(not(target_arch = "wasm32"))]
pub use packed::{Packed, of_checkpoint};
pub use weights::used_weights;

/// A format of exported networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// halfwave's packed file: [`Network::to_bytes`].
    Packed,
    /// The weights that the network uses, as floats: [`used_weights`].
    Safetensors,
}

crate::schema::words!(Format { Packed = "packed", Safetensors = "safetensors" });

impl Format {
    /// Extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Packed => "packed.safetensors",
            Self::Safetensors => "weights.safetensors",
        }
    }
}
