//! A network with every kind of operation.

use halfwave_infer::{Coding, Curve, Input, Layer, Network, Op, Window};

/// A reproducible stream of numbers: xorshift.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.word() as f32 / (1u64 << 31) as f32 - 1.0).collect()
    }

    fn signs(&mut self, rows: usize, channels: usize) -> Vec<u32> {
        let words = channels.div_ceil(32);
        let mask = |at: usize| if at + 1 == words { u32::MAX >> (words * 32 - channels) } else { u32::MAX };
        (0..rows * words).map(|at| self.word() & mask(at % words)).collect()
    }
}

pub(crate) fn window(kernel: usize, padding: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [1, 1], padding: [padding; 2], dilation: [1, 1] }
}

/// Every operation at least once, on images of 6 × 6 pixels and three channels; five classes.
pub(crate) fn every_operation() -> Network {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut layers: Vec<Layer> = Vec::new();
    let mut add = |name: &str, from: &[usize], op: Op| {
        layers.push(Layer { name: name.into(), from: from.into(), op });
        layers.len()
    };
    let conv1 = Op::Conv { window: window(3, 1), filters: 40, weight: noise.floats(9 * 3 * 40) };
    let conv1 = add("conv1", &[0], conv1);
    let (gain, shift) = (noise.floats(40), noise.floats(40));
    let bn1 = add("bn1", &[conv1], Op::Affine { scaled: true, shifted: true, gain, shift });
    let q1 = add("q1", &[bn1], Op::Quantise { count: 3, at_least: false, thresholds: vec![0.0, 0.4, 0.9] });
    let packed = |coding, bases: usize, planes: usize, signs, coefficients: Vec<f32>| Op::PackedConv {
        window: window(3, 1),
        filters: 40,
        coding,
        bases,
        planes,
        signs,
        scale: if coefficients.is_empty() { vec![] } else { vec![0.5] },
        coefficients,
    };
    let conv2 = packed(Coding::Uniform, 1, 2, noise.signs(2 * 40 * 9, 40), vec![]);
    let conv2 = add("conv2", &[q1], conv2);
    let pool2 = add("pool2", &[conv2], Op::MaxPool { window: window(2, 0) });
    let thresholds = (0..3).flat_map(|level| vec![level * 9 - 12; 40]).collect();
    let falling = (0..40).map(|c| i32::from(c % 3 == 0)).collect();
    let q2 = add("q2", &[pool2], Op::Threshold { count: 3, mixed: true, thresholds, falling });
    let levels = packed(Coding::Levels(3), 2, 1, noise.signs(2 * 40 * 9, 40), noise.floats(6 * 40));
    let levels = add("levels", &[q2], levels);
    let decoded = add("decoded", &[q2], Op::Decode { bits: 2, values: vec![0.0, 0.5, 1.0, 2.5] });
    let sum = add("sum", &[levels, decoded], Op::Add);
    let prelu = add("prelu", &[sum], Op::Prelu { slope: noise.floats(40) });
    let silu = add("silu", &[prelu], Op::Activation { curve: Curve::Silu, number: vec![0.0] });
    let round = add("round", &[silu], Op::Round { integer: 3, fraction: 4 });
    let scale = add("scale", &[round], Op::InputScale { window: window(1, 0) });
    let scaled = add("scaled", &[round, scale], Op::ScalePixels);
    let sign = add("sign", &[scaled], Op::Quantise { count: 1, at_least: true, thresholds: vec![0.0] });
    let pad = add("pad", &[sign], Op::Pad { border: [1, 2] });
    let half = add("half", &[pad], Op::Slice { first: 3, count: 33 });
    let rest = add("rest", &[pad], Op::Slice { first: 36, count: 4 });
    let both = add("both", &[half, rest], Op::Concat);
    let conv3 = packed(Coding::Sign, 1, 1, noise.signs(40 * 9, 40), vec![]);
    let conv3 = add("conv3", &[both], conv3);
    let bn3 = add("bn3", &[conv3], Op::Affine { scaled: true, shifted: false, gain: noise.floats(40), shift: vec![] });
    let relu = add("relu", &[bn3], Op::Relu);
    let mean = Window { stride: [4, 3], ..window(2, 1) };
    let mean = add("mean", &[relu], Op::AvgPool { window: mean });
    let flat = add("flat", &[mean], Op::Flatten);
    let weight = noise.floats(2 * 4 * 40 * 5);
    let fc = add("fc", &[flat], Op::Conv { window: window(1, 0), filters: 5, weight });
    add("fc_bias", &[fc], Op::Affine { scaled: false, shifted: true, gain: vec![], shift: noise.floats(5) });
    let table = (0..256 * 3).map(|i| (i / 3) as f32 / 128.0 - 1.0).collect();
    let input = Input { shape: [6, 6, 3], table, mean: noise.floats(6 * 6 * 3) };
    let classes = ["ant", "bee", "cat", "dog", "elk"].map(String::from).into();
    Network { input, layers, classes, card: [("made by".to_string(), "a test".to_string())].into() }
}
