//! Training: a session holds a model on a backend, a trainer leads it through a recipe, a checkpoint keeps both.
//!
//! Nothing here knows a terminal or a window; viewers look at the events. Files are written by [`run`] alone, natively.

pub mod checkpoint;
#[cfg(not(target_arch = "wasm32"))]
pub mod claim;
pub mod evaluate;
#[cfg(not(target_arch = "wasm32"))]
pub mod folder;
mod glance;
pub mod inspect;
mod low_bit;
pub mod metrics;
pub mod parameters;
#[cfg(not(target_arch = "wasm32"))]
pub mod run;
pub mod session;
mod source;
#[cfg(not(target_arch = "wasm32"))]
mod tensorboard;
pub mod trainer;

pub use checkpoint::{Checkpoint, HostTensor, Position};
pub use glance::Glance;
pub use session::Session;
pub use trainer::{Event, Trainer};
