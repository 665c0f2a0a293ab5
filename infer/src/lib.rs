//! halfwave-infer: runs packed low-bit networks.
//!
//! halfwave trains networks with weights of 1 to 4 bits and activations of 1 to 4 bits;
//! `halfwave export --format packed` folds such a network to bit operations and integers and writes
//! it to one file. This crate reads that file ([`Network::read`]) and classifies images
//! ([`Runner`]). It is `no_std` with `alloc`, contains no unsafe code, and needs no GPU.
//!
//! **Exactness.** Codes and sums are integers. The floats of the first and the last layer are added
//! in the order of halfwave's CPU backend, so that logits have its bits, on every processor.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use halfwave_infer::{Network, Runner};
//! let runner = Runner::new(Network::read(&std::fs::read("digits.packed.safetensors")?)?)?;
//! // Bytes in the range of the training images: 0 to 16 for the digits, 0 to 255 for most others
//! // (`card["max pixel"]`); rows of pixels of channels.
//! let image = vec![0; runner.network().input.len()];
//! let class = runner.classify(&image)?;
//! println!("{}", runner.network().classes[class]);
//! # Ok(())
//! # }
//! ```
//!
//! Features: `std` (default) selects instruction sets at run time (AVX2, AVX-512) and runs batches on several threads. Without it, the code is compiled for the target's
//! own instruction set, including WebAssembly's SIMD if enabled.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod container;
mod error;
mod file;
mod json;
mod network;
pub mod ops;
mod runner;
#[doc(hidden)]
pub mod simd;
#[doc(hidden)]
pub mod sum;
mod window;

pub use error::{Error, Result};
#[doc(hidden)]
pub use file::with_structure;
pub use file::{FORMAT, Stored, VERSION, is_packed};
pub use network::{Input, Kind, Layer, MOST_ELEMENTS, MOST_LAYERS, MOST_MEMORY, Network, Type};
pub use ops::{Array, Coding, Curve, Op};
pub use runner::{Data, Runner, largest};
pub use window::Window;
