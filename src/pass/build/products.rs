//! Convolutions and linear layers, float or packed, and the preparation of their weights.

use super::{Builder, Mode, Signal, rounded};
use crate::error::Result;
use crate::graph::Value;
use crate::model::{Alpha, Form, Packed, WeightGradient, Weights};
use crate::ops::{
    Leaf, Op,
    abc_weight::{AbcAlpha, AbcThresholds, AbcWeight},
    bconv,
    bias::Bias,
    code::{Code, SignPlanes},
    concat::Concat,
    conv,
    dorefa_gradient::DorefaGradient,
    dorefa_weight::{DorefaThresholds, DorefaWeight},
    fixed,
    max_abs::MaxAbs,
    pad::Pad,
    scale::Scale,
    sign,
    slice::Slice,
    unpack::Unpack,
    window::Window,
};
use crate::random;
use crate::tensor::Encoding;

/// A convolution or linear layer.
pub(super) struct Product {
    pub(super) window: Window,
    pub(super) groups: usize,
    pub(super) weights: Weights,
    pub(super) bias: bool,
}

impl Builder {
    /// Splits a tensor's channels into equal groups.
    fn parts(&mut self, value: Value, groups: usize) -> Result<Vec<Value>> {
        let count = self.graph.ty(value).channels() / groups;
        match groups {
            1 => Ok(vec![value]),
            _ => (0..groups).map(|group| self.add(Slice { first: group * count, count }, &[value])).collect(),
        }
    }

    /// Concatenates such groups.
    fn whole(&mut self, parts: &[Value]) -> Result<Value> {
        if let [whole] = *parts { Ok(whole) } else { self.add(Concat, parts) }
    }

    /// Appends a float convolution; each group of channels is convolved with its own filters.
    fn convolution(&mut self, x: Value, weight: Value, window: Window, groups: usize) -> Result<Value> {
        let operands = self.parts(x, groups)?.into_iter().zip(self.parts(weight, groups)?);
        let parts: Vec<_> =
            operands.map(|(x, weight)| self.add(conv::Conv { window }, &[x, weight])).collect::<Result<_>>()?;
        self.whole(&parts)
    }

    /// Appends a convolution or linear layer, float or packed.
    pub(super) fn product(&mut self, name: &str, x: &Signal, product: &Product) -> Result<Signal> {
        let &Product { window, groups, weights, bias } = product;
        let input = self.graph.ty(x.value).clone();
        let channels = input.channels() / groups;
        let weight = self.parameter(name, "weight")?;
        let Some(packed) = weights.packed() else {
            let (x, weight) = (self.float(x)?, self.fixed_gradient(weight, weights)?);
            let y = self.convolution(x, weight, window, groups)?;
            return self.biased(name, y, bias.then_some(weights));
        };
        let (signs, alpha, planes) = self.sign_planes(weight, packed.form, channels)?;
        if matches!(input.encoding, Encoding::Planes(_)) {
            return self.packed(x, (signs, alpha, planes), window, groups);
        }
        // Floats have no bits to count.
        let x = self.float(x)?;
        let weight = self.add(Unpack { channels, planes }, &[signs, alpha])?;
        let y = self.convolution(x, weight, window, groups)?;
        self.biased(name, y, bias.then_some(weights))
    }

    /// Returns a latent weight's sign planes, their scales and their interpretation.
    fn sign_planes(&mut self, weight: Value, form: Form, channels: usize) -> Result<(Value, Value, SignPlanes)> {
        let (scope, gradient) = match form {
            Form::Binary { alpha, gradient } => (alpha, gradient),
            // With one bit, DoReFa-Net's weights are sign(w)·mean |w| over the layer.
            Form::Dorefa { .. } | Form::Abc { .. } => (Alpha::Layer, WeightGradient::Identity),
        };
        let scope = match scope {
            Alpha::Filter => sign::Scope::Filter,
            Alpha::Layer => sign::Scope::Layer,
            Alpha::None => sign::Scope::Constant(1.0),
        };
        if let Form::Abc { bases } = form {
            let thresholds = self.add(AbcThresholds { bases, channels }, &[weight])?;
            let alpha = self.add(AbcAlpha { bases, channels }, &[weight, thresholds])?;
            let signs = self.add(AbcWeight { bases, channels }, &[weight, thresholds, alpha])?;
            return Ok((signs, alpha, SignPlanes::Bases(bases)));
        }
        if let Form::Dorefa { bits: bits @ 2.. } = form {
            let largest = self.add(MaxAbs, &[weight])?;
            let thresholds = self.add(DorefaThresholds { bits }, &[largest])?;
            let signs = self.add(DorefaWeight { bits, channels }, &[weight, thresholds, largest])?;
            let scope = sign::Scope::Constant(1.0 / ((1 << bits) - 1) as f32);
            let alpha = self.add(sign::Alpha { channels, scope }, &[weight])?;
            return Ok((signs, alpha, SignPlanes::Binary(bits)));
        }
        let alpha = self.add(sign::Alpha { channels, scope }, &[weight])?;
        let signs = match gradient {
            WeightGradient::Identity => self.add(sign::Sign::identity(channels), &[weight])?,
            WeightGradient::Xnor => self.add(sign::Sign { channels, scope: Some(scope) }, &[weight, alpha])?,
        };
        Ok((signs, alpha, SignPlanes::ONE))
    }

    /// Adds the bias, in the format of the weights, if there is one.
    fn biased(&mut self, name: &str, y: Value, bias: Option<Weights>) -> Result<Signal> {
        let Some(weights) = bias else { return Ok(Signal::float(y)) };
        let bias = self.parameter(name, "bias")?;
        let bias = self.fixed_gradient(bias, weights)?;
        Ok(Signal::float(self.add(Bias, &[y, bias])?))
    }

    /// Returns the signal with DoReFa-Net's gradient, if the layer's weights ask for it.
    pub(super) fn rounded_gradient(&mut self, name: &str, y: Signal, weights: Option<Packed>) -> Result<Signal> {
        let bits = weights.map_or(32, |packed| packed.gradient_bits);
        if bits == 32 || self.mode == Mode::Infer {
            return Ok(y);
        }
        let stream = random::stream(&format!("{name}/gradient")) as u32;
        let random = self.random()?;
        let value = self.add(DorefaGradient { bits: bits as u8, stream }, &[y.value, random])?;
        Ok(Signal { value, ..y })
    }

    /// Returns a fixed-point parameter as a value whose gradient is rounded, if requested. The
    /// parameter is on its grid, so the value itself does not change.
    fn fixed_gradient(&mut self, parameter: Value, weights: Weights) -> Result<Value> {
        let Some(fixed_weights) = weights.fixed() else { return Ok(parameter) };
        let Some(gradient) = fixed_weights.gradient_format else { return Ok(parameter) };
        let Op::Leaf(Leaf { name, .. }) = &self.graph.node(parameter).op else { unreachable!("a parameter") };
        let gradient = fixed::Quantiser::new(gradient, fixed_weights.rounding, &format!("{name}/gradient"));
        let value = fixed::Quantiser::nearest(fixed_weights.format);
        rounded(&mut self.graph, fixed::Fixed { value, gradient: Some(gradient), in_place: false }, parameter)
    }

    /// Appends a packed convolution of codes with signs, whose scales and interpretation are given.
    /// The sums of all groups have the same encoding.
    fn packed(
        &mut self,
        x: &Signal,
        (signs, alpha, planes): (Value, Value, SignPlanes),
        window: Window,
        groups: usize,
    ) -> Result<Signal> {
        let (mut window, mut codes) = (window, x.value);
        if x.ones_around && window.padding != [0, 0] {
            codes = self.add(Pad { rim: window.padding }, &[codes])?;
            window.padding = [0, 0];
        }
        let op = bconv::Bconv { window, code: x.code.clone(), planes };
        let Encoding::Planes(bits) = self.graph.ty(x.value).encoding else { unreachable!("codes") };
        let largest = op.largest_sum(bits, self.graph.ty(x.value).channels() / groups);
        let operands = [self.parts(codes, groups)?, self.parts(signs, groups)?, self.parts(alpha, groups)?];
        let mut sums = Vec::with_capacity(groups);
        for group in 0..groups {
            let inputs: Vec<_> = operands.iter().map(|parts| parts[group]).chain(x.scale).collect();
            sums.push(self.add(op.clone(), &inputs)?);
        }
        let value = self.whole(&sums)?;
        if self.graph.ty(value).encoding == Encoding::F32 {
            return Ok(Signal::float(value));
        }
        // A learned scale of the codes is a factor of every filter's scale.
        let alpha = match x.scale {
            Some(scale) => self.add(Scale, &[alpha, scale])?,
            None => alpha,
        };
        let code = Code::Uniform(x.code.step());
        Ok(Signal { value, code, scale: None, signs_of: None, ones_around: false, alpha: Some(alpha), largest })
    }
}
