//! Export of trained networks: folded to bit operations and integers, and written in formats that
//! other programs read.
//!
//! [`fold`] turns a checkpoint into a [`Network`] of `halfwave-infer`; every format is derived from
//! that network, so that all of them give the same answers.

mod c;
pub mod card;
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

pub use c::{CFiles, c, c_name};
pub use card::of_run;
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
    /// Standard operators: [`onnx::onnx`].
    Onnx,
    /// ONNX with operators for few bits: [`onnx::qonnx`].
    Qonnx,
    /// A header and a source file in C99: [`c()`].
    C,
    /// The weights that the network uses, as floats: [`used_weights`].
    Safetensors,
}

crate::schema::words!(Format {
    Packed = "packed",
    Onnx = "onnx",
    Qonnx = "qonnx",
    C = "c",
    Safetensors = "safetensors"
});

impl Format {
    /// Extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Packed => "packed.safetensors",
            Self::Onnx => "onnx",
            Self::Qonnx => "qonnx.onnx",
            Self::C => "c",
            Self::Safetensors => "weights.safetensors",
        }
    }
}
