//! Training: a session runs a model on a backend, a trainer takes it through a recipe, a checkpoint
//! stores both.
//!
//! Nothing here depends on a terminal or a window; viewers receive events. Only [`run`] writes
//! files, natively.

pub mod checkpoint;
#[cfg(not(target_arch = "wasm32"))]
pub mod claim;
pub mod evaluate;
#[cfg(not(target_arch = "wasm32"))]
pub mod folder;
mod foreign;
pub mod inspect;
mod low_bit;
mod observer;
mod pacer;
mod parameters;
pub mod ranks;
#[cfg(not(target_arch = "wasm32"))]
pub mod run;
#[cfg(not(target_arch = "wasm32"))]
mod run_info;
pub mod session;
mod source;
mod start;
mod stored;
#[cfg(not(target_arch = "wasm32"))]
mod tensorboard;
mod trained_on;
pub mod trainer;
#[cfg(not(target_arch = "wasm32"))]
pub mod weights;

pub use crate::metrics;
pub use checkpoint::{Checkpoint, HostTensor, Position};
pub use observer::Observer;
pub use pacer::StepPacer;
pub use session::Session;
pub use start::Start;
pub use stored::Stored;
pub use trained_on::{ImageFacts, TrainedOn};
pub use trainer::{Event, Trainer};
