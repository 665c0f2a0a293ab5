//! halfwave: a portable WebGPU training engine for low-bit neural networks.
//!
//! Data flows in one direction: recipe → model → graph → plan → backend → session.
//!
//! | to … | use |
//! |---|---|
//! | train on arrays, with a network described in code | [`Network`] |
//! | train by a recipe, with evaluations and callbacks | [`train::Trainer`], [`train::Observer`] |
//! | write a run's folder: metrics, checkpoints, curves | [`train::run::Run`] |
//! | choose a device | [`backend::open`] |
//! | add an operation with its own kernel | [`custom`], [`testing`] |
//!
//! `use halfwave::prelude::*;` imports what most programs need. Modules that are not listed here are
//! internal: they are public for the command-line program and for tests, and may change in any
//! version. `ARCHITECTURE.md` gives an overview.
pub mod backend;
#[doc(hidden)]
pub mod bits;
#[doc(hidden)]
pub mod caps;
pub mod custom;
pub mod data;
pub mod error;
#[cfg(all(feature = "report", not(target_arch = "wasm32")))]
#[doc(hidden)]
pub mod experiment;
pub mod export;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod files;
#[doc(hidden)]
pub mod first_use;
#[doc(hidden)]
pub mod graph;
#[doc(hidden)]
pub mod halves;
#[doc(hidden)]
pub mod kernel;
#[doc(hidden)]
pub mod lloyd;
pub mod metrics;
pub mod model;
pub mod network;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod parallel;
#[doc(hidden)]
pub mod pass;
#[doc(hidden)]
pub mod plan;
#[cfg(all(feature = "report", not(target_arch = "wasm32")))]
#[doc(hidden)]
pub mod plots;
pub mod prelude;
#[doc(hidden)]
pub mod profile;
#[doc(hidden)]
pub mod random;
pub mod recipe;
#[cfg(all(feature = "report", not(target_arch = "wasm32")))]
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod schema;
#[doc(hidden)]
pub mod selftest;
#[cfg(all(feature = "shader", not(target_arch = "wasm32")))]
#[doc(hidden)]
pub mod shader;
#[doc(hidden)]
pub mod simd;
pub mod stop;
#[doc(hidden)]
pub mod tensor;
pub mod testing;
#[doc(hidden)]
pub mod text;
pub mod train;
#[doc(hidden)]
pub mod variant;
pub mod version;

pub use error::{Error, Result};
pub use network::Network;
