//! `leaf`: a value that comes from outside the step: a batch, a scalar, a piece of state.

use super::{Operation, Sample};
use crate::caps::Caps;
use crate::kernel::Program;
use crate::tensor::{TensorType, View, ViewMut};

/// Where a leaf's value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Written before each run.
    Input,
    /// Kept from run to run, shared by all plans of a session.
    State {
        /// Whether it has a gradient.
        trained: bool,
    },
}

/// A named value from outside.
#[derive(Clone, PartialEq, Debug)]
pub struct Leaf {
    /// Unique among leaves.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
    /// Where it comes from.
    pub role: Role,
}

impl Leaf {
    /// An input of the step.
    pub fn input(name: &str, ty: TensorType) -> Self {
        Self { name: name.to_string(), ty, role: Role::Input }
    }

    pub(super) fn samples() -> Vec<Sample> {
        Vec::new()
    }
}

impl Operation for Leaf {
    fn stem(&self) -> &'static str {
        "leaf"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 0)?;
        Ok(self.ty.clone())
    }

    fn backward(&self, _cx: &mut super::Backward<'_>) -> crate::Result<()> {
        Ok(())
    }

    fn program(&self, _inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Program {
        Program::default()
    }

    fn twin(&self, _inputs: &[View<'_>], _output: &mut ViewMut<'_>) {}
}
