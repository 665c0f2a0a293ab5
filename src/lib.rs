//! halfwave: a portable WebGPU training engine for low-bit neural networks.
//!
//! Data goes one way: recipe → model → graph → plan → backend → session. See `ARCHITECTURE.md` for the map.
pub mod data;
pub mod error;
pub mod model;
pub mod random;
pub mod recipe;
pub mod report;
pub use error::{Error, Result};
