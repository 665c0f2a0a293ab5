//! What most programs that use the library need: `use halfwave::prelude::*;`.
//!
//! All calls that wait for a device are asynchronous. Natively, `.block_on()` on the call waits for
//! it.

pub use crate::backend::cpu::CpuBackend;
pub use crate::backend::gpu::{self, GpuBackend};
pub use crate::data::Dataset;
pub use crate::data::formats::sets::*;
pub use crate::metrics::{EpochRow, Row, StepRow};
pub use crate::model::{
    Add, Alpha, Apot, BatchNorm, Concat, Conv, Dorefa, Dropout, Fixed, Flatten, GlobalAvgPool, Hwgq, LayerKind, Linear,
    Lsq, Model, Pact, Pool, Prelu, Relu, Sign, Slice, Uniform, Weights,
};
pub use crate::network::Network;
pub use crate::ops::rules::{Adam, AdamW, Bop, Lion, Sgd};
pub use crate::pass::{Loss, Optimizer};
pub use crate::recipe::{Data, Length, Recipe, Schedule, Set, Train};
pub use crate::train::{Checkpoint, Observer, Trainer};
#[cfg(not(target_arch = "wasm32"))]
pub use pollster::FutureExt as _;
