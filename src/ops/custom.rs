//! `custom`: an operation that is defined outside of this crate. It is treated like any other: it
//! is differentiated, planned, launched and checked by its own [`Operation`].
//!
//! [`crate::testing`] compares its kernel with its reference implementation on a device, and its
//! backward pass with a definition in double precision.

use super::{Backward, Fold, Op, Operation};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::Program;
use crate::tensor::{TensorType, View, ViewMut};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What an operation from outside of this crate needs besides [`Operation`]; every type with these
/// traits has it.
pub trait CustomOperation: Operation + fmt::Debug + Send + Sync {
    /// Returns itself, for comparisons.
    fn as_any(&self) -> &dyn Any;
    /// Whether `other` is the same operation with the same settings.
    fn equals(&self, other: &dyn CustomOperation) -> bool;
}

impl<T: Operation + fmt::Debug + PartialEq + Send + Sync + 'static> CustomOperation for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn CustomOperation) -> bool {
        other.as_any().downcast_ref::<T>() == Some(self)
    }
}

/// An operation from outside of this crate.
#[derive(Clone)]
pub struct Custom(Arc<dyn CustomOperation>);

impl Op {
    /// Wraps an operation from outside of this crate, to be added to a graph.
    pub fn custom(operation: impl CustomOperation + 'static) -> Self {
        Self::Custom(Custom(Arc::new(operation)))
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Operation for Custom {
    fn stem(&self) -> &'static str {
        self.0.stem()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.0.infer(inputs)
    }

    fn in_place(&self) -> Option<usize> {
        self.0.in_place()
    }

    fn folds(&self) -> Option<Fold> {
        self.0.folds()
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<()> {
        self.0.backward(cx)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        self.0.program(inputs, output, caps)
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        self.0.reference(inputs, output);
    }

    fn tolerance(&self, output: &TensorType) -> f32 {
        self.0.tolerance(output)
    }
}
