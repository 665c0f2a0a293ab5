//! Element-wise updates in place, of a parameter or of an optimiser's state: the operations of
//! which update rules consist ([`super::rule`]).

use super::{Activity, Operation, Sample, add, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Launch, Operand, Params, Program};
use crate::parallel;
use crate::tensor::{Encoding::F32, Tensor, TensorType, View, ViewMut};

/// An update. Its operation has the tensors as inputs, of which the first is updated, and then the
/// rates of the step, if it reads them.
pub trait Update: Copy + Sync {
    /// The uniform of its kernel.
    type Params: Params;
    /// Name of the operation.
    const STEM: &'static str;
    /// The tensors, at most three.
    const TENSORS: &'static [Port];
    /// Whether it reads the rates `[4]`: learning rate, two corrections, 0.
    const RATES: bool;
    /// `at(i)` for quad i.
    const WGSL: &'static str;
    /// Bound on |device − reference|: see [`Operation::tolerance`].
    const TOLERANCE: f32 = 2e-5;

    /// Returns the values of the uniform.
    fn params(&self, quads: u32) -> Self::Params;

    /// Returns the new value of an element, given the tensors' elements; those beyond the last
    /// tensor repeat it.
    fn element(&self, tensors: [f32; 3], rates: [f32; 4]) -> f32;

    /// Returns the number of float operations per element.
    fn float_ops(&self) -> usize;

    /// Returns the label of the kernel, and a compile-time constant if it has one.
    fn kernel(&self) -> (&'static str, Option<(&'static str, usize)>) {
        (Self::STEM, None)
    }

    /// Returns updates for tests.
    fn examples() -> Vec<Self>;

    /// Returns test cases of its operation.
    fn samples() -> Vec<Sample>
    where
        super::Op: From<Self>,
    {
        let mut noise = Noise::new(Self::STEM.bytes().map(u64::from).sum());
        let cases = SHAPES.into_iter().flat_map(|shape| Self::examples().into_iter().map(move |op| (shape, op)));
        let cases = cases.map(|(shape, op)| {
            let tensor = |port: &Port| if port.positive { noise.positive(shape) } else { noise.floats(shape) };
            let mut inputs: Vec<_> = Self::TENSORS.iter().map(tensor).collect();
            inputs.extend(Self::RATES.then(|| Tensor::from_f32(&[4], &[0.05, 0.19, 0.003, 0.0])));
            Sample::new(op, inputs)
        });
        cases.collect()
    }
}

/// A tensor that an update reads.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    name: &'static str,
    what: &'static str,
    finite: bool,
    positive: bool,
}

/// Declares a tensor: its name in the kernel, and in messages.
pub(super) const fn port(name: &'static str, what: &'static str) -> Port {
    Port { name, what, finite: false, positive: false }
}

impl Port {
    /// Checks that the tensor, or the result if it is the updated one, is finite.
    pub(super) const fn finite(self) -> Self {
        Self { finite: true, ..self }
    }

    /// The tensor is positive, in tests.
    pub(super) const fn positive(self) -> Self {
        Self { positive: true, ..self }
    }
}

/// Shapes of parameters.
const SHAPES: [&[usize]; 3] = [&[3, 3, 8, 41], &[2, 5], &[10]];

impl<T: Update> Operation for T {
    fn stem(&self) -> &'static str {
        T::STEM
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let tensors = T::TENSORS;
        super::arity(inputs, tensors.len() + usize::from(T::RATES))?;
        if T::RATES {
            super::same("the rates", inputs[tensors.len()], &TensorType::f32(&[4]))?;
        }
        super::float(tensors[0].what, inputs[0])?;
        for (port, ty) in tensors.iter().zip(inputs).skip(1) {
            super::same(port.what, ty, inputs[0])?;
        }
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Update)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let quads = output.words() / 4;
        let (label, constant) = self.kernel();
        let mut launch = Launch::new(label, &[add::ELEMENTWISE, T::WGSL]);
        if let Some((name, value)) = constant {
            launch = launch.constant(name, value);
        }
        let checked = |launch: Launch, port: &Port| if port.finite { launch.must_be_finite() } else { launch };
        for (at, port) in T::TENSORS.iter().enumerate().skip(1) {
            launch = checked(launch.read(port.name, F32, Operand::Input(at)), port);
        }
        if T::RATES {
            launch = launch.read_quad("rates", Operand::Input(T::TENSORS.len()));
        }
        let updated = &T::TENSORS[0];
        checked(launch.write(updated.name, F32, Operand::Output), updated)
            .params(&self.params(quads as u32))
            .each_quad(quads)
            .float_ops(self.float_ops() * output.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let count = T::TENSORS.len();
        let tensors: Vec<_> = inputs[..count].iter().map(View::numbers).collect();
        let mut rates = [0.0; 4];
        if T::RATES {
            rates.copy_from_slice(&inputs[count].numbers()[..4]);
        }
        let tensor = |at: usize| &*tensors[at.min(count - 1)];
        parallel::each(output.floats(), [0, 1, 2].map(tensor), |tensors| self.element(tensors, rates));
    }

    fn tolerance(&self, _output: &TensorType) -> f32 {
        T::TOLERANCE
    }
}
