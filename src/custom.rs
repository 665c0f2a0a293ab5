//! Operations from outside of this crate: everything that is needed to write one, to use it as a
//! kind of layer, and to test it. `examples/custom_operation.rs` is a complete one.
//!
//! 1. A type implements [`Operation`]: the output's type ([`Operation::infer`]), the kernels
//!    ([`Operation::program`]), the same in plain Rust ([`Operation::reference`]) and the nodes of
//!    its gradient ([`Operation::backward`]).
//! 2. [`Op::custom`] wraps it; [`CustomKind`] makes it a kind of layer with settings and learned
//!    parameters, or a quantiser whose codes packed convolutions read.
//! 3. [`crate::testing`] compares kernel and gradient with independent definitions.
//!
//! A [`Launch`] names the operands of a kernel, from which bindings and accessors in WGSL are
//! generated: `x_at(i)` reads quad i (four channels) of an operand called `x`, `y_put(i, …)` writes
//! one. Activations are `[n, h, w, c]` in memory, with the channels of each pixel padded to a
//! multiple of four; padding must stay 0.
//!
//! A kernel must not hide a NaN or an infinity: either it spreads from the first float input to the
//! output, or the operand is marked by [`Launch::must_be_finite`].

pub use crate::caps::Caps;
pub use crate::graph::Value;
pub use crate::kernel::{Launch, Operand, Params, Program};
pub use crate::model::{CustomKind, Number, Size};
pub use crate::ops::bias::ChannelSum;
pub use crate::ops::code::Code;
pub use crate::ops::sample::Noise;
pub use crate::ops::scale::Total;
pub use crate::ops::{Backward, Custom, CustomOperation, Op, Operation, Sample, arity, elementwise, float, same};
pub use crate::params;
pub use crate::tensor::{Encoding, Tensor, TensorType, View, ViewMut};
