//! `leaf`: a value from outside the step: a batch, a scalar or persistent state.

use super::{Operation, Sample};
use crate::caps::Caps;
use crate::kernel::Program;
use crate::tensor::{TensorType, View, ViewMut};

/// Origin of a leaf's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Written before each run.
    Input,
    /// Kept between runs and shared by all plans of a session.
    State {
        /// Whether it has a gradient.
        trained: bool,
    },
}

/// A named external value.
#[derive(Clone, PartialEq, Debug)]
pub struct Leaf {
    /// Name, unique among leaves.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
    /// Origin of the value.
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

    fn reference(&self, _inputs: &[View<'_>], _output: &mut ViewMut<'_>) {}
}
