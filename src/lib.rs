//! halfwave: a portable WebGPU training engine for low-bit neural networks.
//!
//! Data flows in one direction: recipe → model → graph → plan → backend → session.
//! `ARCHITECTURE.md` gives an overview.
pub mod backend;
pub mod bits;
pub mod caps;
pub mod data;
pub mod error;
#[cfg(all(feature = "report", not(target_arch = "wasm32")))]
pub mod experiment;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
pub mod first_use;
pub mod graph;
pub mod halves;
pub mod kernel;
pub mod lloyd;
pub mod metrics;
pub mod model;
pub mod ops;
pub mod parallel;
pub mod pass;
pub mod plan;
#[cfg(all(feature = "report", not(target_arch = "wasm32")))]
pub mod plots;
pub mod profile;
pub mod random;
pub mod recipe;
#[cfg(all(feature = "report", not(target_arch = "wasm32")))]
pub mod report;
pub mod selftest;
#[cfg(all(feature = "shader", not(target_arch = "wasm32")))]
pub mod shader;
pub mod simd;
pub mod stop;
pub mod tensor;
pub mod text;
pub mod train;
pub mod variant;

pub use error::{Error, Result};
