//! `bconv_dx`, `bconv_dw`: the gradients of [`super::bconv`], computed from the packed operands.
//!
//! With y = W̃ ∗ x, where x is what the codes represent: dx is the transposed convolution of dy
//! with W̃, whose values are reconstructed in registers from the packed signs and α; dw = Σ dy · x,
//! with codes unpacked in registers. dx is the gradient of the real activation, dw that of W̃.
//!
//! **Order of the sums:** that of [`super::conv_backward`].

use super::bconv::{self, Bconv};
use super::code::{self, Code, SignPlanes};
use super::coop::{self, FLOAT_DEPTH, Halves, Numbers, Operands, Ranged};
use super::outer::Outer;
use super::product::{Phases, Product};
use super::window::{Window, WindowParams};
use super::{Activity, Operation, Sample, conv, conv_backward, decode, sample::Noise};
use crate::caps::Caps;
use crate::kernel::{Operand::*, Program};
use crate::tensor::{
    Encoding::{F32, U32},
    LANES, TensorType, View, ViewMut, WORD_BITS,
};
use crate::variant::Offer;

/// Gradient of the activation: inputs dy, signs, α.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BconvDx {
    /// The convolution's window.
    pub window: Window,
    /// Values that the signs represent.
    pub planes: SignPlanes,
    /// The type of dx.
    pub input: TensorType,
}

/// Gradient of the weight: inputs dy, codes, and the scale of the codes if it is learned.
#[derive(Clone, PartialEq, Debug)]
pub struct BconvDw {
    /// The convolution's window.
    pub window: Window,
    /// Values that the codes represent.
    pub code: Code,
}

const BCONV_DX: &str = include_str!("../../shaders/bconv_dx.wgsl");
const BCONV_DW: &str = include_str!("../../shaders/bconv_dw.wgsl");

impl BconvDx {
    fn product(&self, dy: &TensorType, dx: &TensorType) -> Product {
        let ranged = Ranged { a: true, input: 0, name: "dy", quads: dy.words() / LANES, factor: Some((2, dy.quads())) };
        Product {
            stem: "bconv_dx",
            texts: [conv_backward::SCATTER, BCONV_DX],
            rows: dx.rows(),
            columns: dx.lanes(),
            taps: self.window.taps(),
            length: dy.lanes(),
            phases: Phases::of(&self.window, dx),
            halves: (self.planes == SignPlanes::ONE).then(|| Halves {
                texts: vec![conv_backward::SCATTER, BCONV_DX, include_str!("../../shaders/bconv_dx_coop.wgsl")],
                operands: Operands {
                    depth: FLOAT_DEPTH,
                    of_subgroup: [4, 4],
                    a: coop::BY_ROW,
                    b: coop::Operand { along_depth: false, item: WORD_BITS, numbers: Numbers::Exact },
                    shuffled: true,
                },
                ranged: vec![ranged],
                stored: [None; 2],
                two_bits: false,
            }),
        }
    }
}

impl BconvDw {
    fn outer(&self, inputs: &[&TensorType]) -> Outer {
        let (dy, x) = (inputs[0].clone(), inputs[1].clone());
        let operand = vec![decode::CODES, code::VALUES, BCONV_DW];
        let bits = x.row_words() / x.plane_words();
        let halves = (matches!(self.code, Code::Uniform(_)) && bits <= 2).then(|| Halves {
            texts: vec![
                bconv::GATHER,
                decode::CODES,
                code::VALUES,
                BCONV_DW,
                coop::DY,
                include_str!("../../shaders/bconv_dw_coop.wgsl"),
            ],
            operands: Operands {
                depth: FLOAT_DEPTH,
                of_subgroup: [4, 4],
                a: coop::Operand { along_depth: false, item: WORD_BITS, numbers: Numbers::Exact },
                b: coop::Operand { along_depth: false, ..coop::BY_ROW },
                shuffled: false,
            },
            ranged: vec![Ranged { a: false, input: 0, name: "dy", quads: dy.words() / LANES, factor: None }],
            stored: [None; 2],
            two_bits: bits == 2,
        });
        Outer {
            stem: "bconv_dw",
            operand,
            taps: self.window.taps(),
            channels: self.window.taps() * x.channels(),
            x,
            dy,
            halves,
        }
    }
}

crate::params! {
    /// Layout of the bit planes of a row.
    struct PlaneParams { words: u32, channels: u32 }
}

impl PlaneParams {
    fn new(x: &TensorType) -> Self {
        Self { words: x.plane_words() as u32, channels: x.channels() as u32 }
    }
}

impl Operation for BconvDx {
    fn stem(&self) -> &'static str {
        "bconv_dx"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        super::arity(inputs, 3)?;
        let y = bconv::infer(&self.window, self.planes, &self.input, inputs[1], inputs[2])?;
        super::same("the gradient", inputs[0], &y)?;
        Ok(self.input.clone())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        self.product(inputs[0], output).program(("dx", output), caps, |launch| {
            launch
                .constant("UNIT_STRIDE", usize::from(self.window.stride == [1, 1]))
                .constant("SIGN_PLANES", self.planes.count())
                .constant("SEVERAL", usize::from(self.planes.count() > 1))
                .constant("BASED", usize::from(matches!(self.planes, SignPlanes::Bases(_))))
                .read("dy", F32, Input(0))
                .read("signs", U32, Input(1))
                .read("alpha", F32, Input(2))
                .add_params(&WindowParams::new(&self.window, output, inputs[0]))
                .add_params(&PlaneParams::new(output))
                .float_ops(2 * inputs[0].len() * self.window.taps() * output.channels())
        })
    }

    fn candidates(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Vec<Offer> {
        self.product(inputs[0], output).candidates(caps)
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (signs, alpha) = (inputs[1].words, inputs[2].numbers());
        let (channels, cl, kl) = (output.ty.channels(), output.ty.lanes(), inputs[0].ty.lanes());
        let (words, planes) = (output.ty.plane_words(), self.planes.count());
        conv_backward::input_gradient_reference(
            &self.window,
            (inputs[0].ty, &inputs[0].numbers()),
            output,
            |tap, block| {
                for (k, row) in block.chunks_exact_mut(cl).enumerate() {
                    for (at, weights) in row[..channels].chunks_mut(WORD_BITS).enumerate() {
                        let word = |j| signs[((tap * words + at) * planes + j) * kl + k];
                        if self.planes == SignPlanes::ONE {
                            let (word, alpha) = (word(0), alpha[k]);
                            let signed = |(c, weight): (usize, &mut f32)| {
                                *weight = if word >> c & 1 == 1 { alpha } else { -alpha }
                            };
                            weights.iter_mut().enumerate().for_each(signed);
                        } else {
                            for (c, weight) in weights.iter_mut().enumerate() {
                                *weight = self.planes.value(|j| word(j) >> c & 1 == 1, |j| alpha[j * kl + k]);
                            }
                        }
                    }
                }
            },
        );
    }
}

impl BconvDx {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(7);
        let binary = bconv::operands(&mut noise).into_iter();
        let binary = binary.map(|(window, operands)| (Bconv::uniform(window, 1.0), operands.to_vec()));
        let cases: Vec<_> = binary.chain(bconv::family(&mut noise)).collect();
        let cases = cases.into_iter().map(|(Bconv { window, planes, .. }, operands)| {
            let [codes, signs, alpha] = [0, 1, 2].map(|i| operands[i].clone());
            let y = bconv::infer(&window, planes, &codes.ty, &signs.ty, &alpha.ty).expect("a valid case");
            let op = BconvDx { window, planes, input: codes.ty.with(F32) };
            Sample::new(op, vec![noise.floats(&y.shape), signs, alpha])
        });
        cases.collect()
    }
}

impl Operation for BconvDw {
    fn stem(&self) -> &'static str {
        "bconv_dw"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs.len() == 3 {
            super::same("the scale", inputs[2], &TensorType::f32(&[1]))?;
        } else {
            super::arity(inputs, 2)?;
        }
        self.code.check(bconv::bits_of("the activation", inputs[1])?)?;
        let [_, _, _, k] = super::nhwc("the gradient", inputs[0])?;
        let weight = TensorType::f32(&[self.window.kernel[0], self.window.kernel[1], inputs[1].lanes(), k]);
        let y = conv::infer(&self.window, inputs[1], &weight, inputs[1].lanes())?;
        super::same("the gradient", inputs[0], &y)?;
        Ok(weight)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Dw)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, caps: &Caps) -> Program {
        let (dy, x) = (inputs[0], inputs[1]);
        self.outer(inputs).program(output, caps, |launch| {
            let launch = self
                .code
                .constants(launch, x.row_words() / x.plane_words(), x.channels())
                .constant("SCALED", usize::from(inputs.len() == 3))
                .add_params(&WindowParams::new(&self.window, x, dy))
                .add_params(&PlaneParams::new(x))
                .read("x", x.encoding, Input(1));
            if inputs.len() == 3 { launch.read("factor", F32, Input(2)) } else { launch }
        })
    }

    fn candidates(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Vec<Offer> {
        self.outer(inputs).candidates(caps)
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, x) = ((inputs[0].ty, &*inputs[0].numbers()), inputs[1]);
        let scale = inputs.get(2).map_or(1.0, |scale| scale.numbers()[0]) * self.code.step();
        conv_backward::weight_gradient_reference(&self.window, (x.ty, &self.code.quads(x)), dy, scale, output.floats());
    }
}

impl BconvDw {
    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(8);
        let binary = bconv::operands(&mut noise).into_iter();
        let binary = binary.map(|(window, operands)| (Bconv::uniform(window, 0.538), operands.to_vec()));
        let cases: Vec<_> = binary.chain(bconv::family(&mut noise)).collect();
        let cases = cases.into_iter().map(|(Bconv { window, code, planes }, mut operands)| {
            let scale = operands.split_off(3);
            let (codes, [signs, alpha]) = (operands[0].clone(), [&operands[1], &operands[2]]);
            let y = bconv::infer(&window, planes, &codes.ty, &signs.ty, &alpha.ty).expect("a valid case");
            Sample::new(BconvDw { window, code }, [vec![noise.floats(&y.shape), codes], scale].concat())
        });
        cases.collect()
    }
}
