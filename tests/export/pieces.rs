//! Small networks of every operation, with random arrays and with sizes that fill no word.

use halfwave::random::Random;
use halfwave_infer::{Coding, Curve, Input, Kind, Layer, Network, Op, Type, Window};
use std::collections::BTreeMap;

/// A network under construction.
pub(crate) struct Piece {
    network: Network,
    random: Random,
}

pub(crate) fn window(kernel: [usize; 2]) -> Window {
    Window { kernel, stride: [1, 1], padding: [0, 0], dilation: [1, 1] }
}

impl Piece {
    pub(crate) fn new(shape: [usize; 3], mean: bool) -> Self {
        let mut random = Random::new(11, "pieces");
        let mut uniform = |count: usize| (0..count).map(|_| random.unit() as f32 - 0.5).collect::<Vec<_>>();
        let table = uniform(256 * shape[2]);
        let mean = uniform(if mean { shape.iter().product() } else { 0 });
        let input = Input { shape, table, mean };
        let network = Network { input, layers: Vec::new(), classes: Vec::new(), card: BTreeMap::new() };
        Self { network, random }
    }

    fn input(&self) -> Type {
        Type { shape: self.network.input.shape, kind: Kind::Float }
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random.unit() as f32 - 0.4).collect()
    }

    /// The type of the input (0) or of a layer's output.
    fn ty(&self, value: usize) -> Type {
        let mut network = self.network.clone();
        network.layers.truncate(value);
        if value == 0 {
            return self.input();
        }
        let mut ty = self.input();
        let mut types = vec![ty];
        for layer in &network.layers {
            let x = types[layer.from[0]];
            let [h, w, c] = x.shape;
            let under = |window: &Window, c| {
                let [h, w] = window.output([h, w]).unwrap();
                [h, w, c]
            };
            let bits = |count: usize| Kind::Codes((count + 1).next_power_of_two().trailing_zeros() as u8);
            let (shape, kind) = match &layer.op {
                Op::Conv { window, filters, .. } => (under(window, *filters), Kind::Float),
                Op::PackedConv { window, filters, .. } => {
                    (under(window, *filters), if layer.op.combines() { Kind::Float } else { Kind::Sums(1) })
                }
                Op::Threshold { count, .. } | Op::Quantise { count, .. } => (x.shape, bits(*count)),
                Op::MaxPool { window } | Op::AvgPool { window } => (under(window, c), x.kind),
                Op::InputScale { window } => (under(window, 1), Kind::Float),
                Op::Concat => ([h, w, layer.from.iter().map(|&from| types[from].channels()).sum()], x.kind),
                Op::Slice { count, .. } => ([h, w, *count], x.kind),
                Op::Flatten => ([1, 1, h * w * c], Kind::Float),
                Op::Pad { border } => ([h + 2 * border[0], w + 2 * border[1], c], x.kind),
                Op::Affine { .. } | Op::Decode { .. } => (x.shape, Kind::Float),
                _ => (x.shape, x.kind),
            };
            ty = Type { shape, kind };
            types.push(ty);
        }
        ty
    }

    /// Adds a layer and returns its output; arrays of the operation are filled.
    pub(crate) fn add(&mut self, from: &[usize], mut op: Op) -> usize {
        let x = self.ty(from[0]);
        let c = x.channels();
        let words = x.words();
        match &mut op {
            Op::Conv { window, filters, weight } => *weight = self.floats(window.taps() * c * *filters),
            Op::PackedConv { window, filters, coding, bases, planes, signs, coefficients, scale } => {
                let count = *bases * *planes * *filters * window.taps();
                let tail = u32::MAX >> (words * 32 - c);
                *signs = (0..count * words)
                    .map(|at| self.random.word() & if at % words == words - 1 { tail } else { u32::MAX })
                    .collect();
                let levels = if let Coding::Levels(levels) = *coding { levels } else { 1 };
                if *bases > 1 || matches!(coding, Coding::Levels(_)) {
                    *coefficients = self.floats(levels * *bases * *filters);
                    *scale = vec![0.3];
                }
            }
            Op::Affine { scaled, shifted, gain, shift } => {
                *gain = self.floats(if *scaled { c } else { 0 });
                *shift = self.floats(if *shifted { c } else { 0 });
            }
            Op::Threshold { count, mixed, thresholds, falling } => {
                let steps = *count as i32;
                *thresholds = (0..steps)
                    .flat_map(|t| {
                        (0..c as i32).map(move |c| 9 * (2 * t - steps) + c % 5 + if c % 9 == 8 { 200 } else { 0 })
                    })
                    .collect();
                *falling = (0..if *mixed { c } else { 0 }).map(|c| i32::from(c % 3 == 1)).collect();
            }
            Op::Quantise { count, thresholds, .. } => {
                *thresholds = (0..*count).map(|t| t as f32 / *count as f32 - 0.4).collect();
            }
            Op::Decode { bits, values } => *values = self.floats(1 << *bits),
            Op::Prelu { slope } => *slope = self.floats(c),
            Op::Activation { curve, number } => {
                *number = vec![if matches!(curve, Curve::ClippedRelu | Curve::LogTailedRelu) { 0.4 } else { 0.1 }];
            }
            _ => {}
        }
        let name = format!("layer {}", self.network.layers.len());
        self.network.layers.push(Layer { name, from: from.to_vec(), op });
        self.network.layers.len()
    }

    /// Adds a convolution over all pixels, to five classes.
    pub(crate) fn finish(mut self, from: usize) -> Network {
        let [h, w, _] = self.ty(from).shape;
        self.add(&[from], conv(window([h, w]), 5));
        // A comment, a trigraph, a line break and two bytes must not get out of their constants.
        self.network.classes = ["a", "*/ b", "\"c\\??/\n", "é", "%s"].map(String::from).to_vec();
        self.network.check().unwrap();
        self.network
    }
}

pub(crate) fn conv(window: Window, filters: usize) -> Op {
    Op::Conv { window, filters, weight: Vec::new() }
}

fn packed(window: Window, filters: usize, coding: Coding, bases: usize, planes: usize) -> Op {
    let (signs, coefficients, scale) = (Vec::new(), Vec::new(), Vec::new());
    Op::PackedConv { window, filters, coding, bases, planes, signs, coefficients, scale }
}

fn quantise(count: usize, at_least: bool) -> Op {
    Op::Quantise { count, at_least, thresholds: Vec::new() }
}

fn threshold(count: usize, mixed: bool) -> Op {
    Op::Threshold { count, mixed, thresholds: Vec::new(), falling: Vec::new() }
}

fn affine(scaled: bool, shifted: bool) -> Op {
    Op::Affine { scaled, shifted, gain: Vec::new(), shift: Vec::new() }
}

/// Uniform codes, sums and thresholds; everything that selects or arranges codes and sums.
pub(crate) fn codes() -> Network {
    let mut net = Piece::new([5, 4, 37], true);
    let q = net.add(&[0], quantise(3, false));
    let around = Window { padding: [1, 2], ..window([3, 3]) };
    let sums = net.add(&[q], packed(around, 45, Coding::Uniform, 1, 2));
    let pooled = net.add(&[sums], Op::MaxPool { window: Window { stride: [2, 1], padding: [1, 1], ..window([3, 2]) } });
    let both = net.add(&[pooled, pooled], Op::Concat);
    let some = net.add(&[both], Op::Slice { first: 30, count: 41 });
    let rising = net.add(&[some], threshold(7, false));
    let falling = net.add(&[some], threshold(5, true));
    let codes = net.add(&[rising, falling, rising], Op::Concat);
    let slice = net.add(&[codes], Op::Slice { first: 33, count: 70 });
    let largest =
        net.add(&[slice], Op::MaxPool { window: Window { padding: [1, 0], stride: [1, 2], ..window([2, 2]) } });
    let wide = Window { dilation: [2, 1], ..window([2, 1]) };
    let bases = net.add(&[largest], packed(wide, 33, Coding::Uniform, 3, 1));
    let decoded = net.add(&[falling], Op::Decode { bits: 3, values: Vec::new() });
    let flat = net.add(&[decoded], Op::Flatten);
    let small = net.add(&[flat], conv(window([1, 1]), 33));
    let bases = net.add(&[bases], Op::AvgPool { window: window([2, 2]) });
    let pool = net.add(&[bases], Op::MaxPool { window: window(net.ty(bases).shape[..2].try_into().unwrap()) });
    let sum = net.add(&[pool, small], Op::Add);
    net.finish(sum)
}

/// Levels with several bases and planes.
pub(crate) fn levels() -> Network {
    let mut net = Piece::new([6, 5, 3], false);
    let x = net.add(&[0], conv(Window { padding: [1, 1], ..window([3, 3]) }, 40));
    let scaled = net.add(&[x], affine(true, true));
    let q = net.add(&[scaled], quantise(11, true));
    let around = Window { padding: [2, 2], dilation: [2, 2], ..window([3, 3]) };
    let y = net.add(&[q], packed(around, 40, Coding::Levels(11), 2, 3));
    let shifted = net.add(&[y], affine(false, true));
    let prelu = net.add(&[shifted], Op::Prelu { slope: Vec::new() });
    let sum = net.add(&[scaled, prelu], Op::Add);
    let fixed = net.add(&[sum], Op::Round { integer: 3, fraction: 4 });
    net.finish(fixed)
}

/// Signs with padding of ones, and the scales of inputs; sums of floats of more than one run.
pub(crate) fn signs() -> Network {
    let mut net = Piece::new([14, 13, 2], false);
    let x = net.add(&[0], conv(Window { stride: [1, 1], ..window([3, 2]) }, 34));
    let q = net.add(&[x], quantise(1, true));
    let padded = net.add(&[q], Op::Pad { border: [1, 2] });
    let sums = net.add(&[padded], packed(window([3, 3]), 7, Coding::Sign, 1, 2));
    let floats = net.add(&[sums], affine(true, false));
    let around = Window { padding: [1, 2], ..window([3, 3]) };
    let scales = net.add(&[x], Op::InputScale { window: around });
    let y = net.add(&[floats, scales], Op::ScalePixels);
    let relu = net.add(&[y], Op::Relu);
    let plain = net.add(&[q], packed(around, 7, Coding::Sign, 1, 1));
    let plain = net.add(&[plain], affine(true, true));
    let both = net.add(&[relu, plain], Op::Add);
    let part = net.add(&[both], Op::Slice { first: 1, count: 5 });
    let all = net.add(&[part, both, part], Op::Concat);
    let mean = net.add(&[all], Op::AvgPool { window: Window { padding: [3, 3], ..window([12, 13]) } });
    let most = net.add(&[mean], Op::MaxPool { window: Window { padding: [1, 1], ..window([3, 3]) } });
    let two = net.add(&[sums], Op::Slice { first: 0, count: 4 });
    let two = net.add(&[two, two], Op::Concat);
    let code = net.add(&[two], threshold(2, false));
    let code = net.add(&[code], Op::Decode { bits: 2, values: Vec::new() });
    // 168 taps: two parts.
    let code = net.add(&[code], conv(window([12, 14]), 17));
    let most = net.add(&[most], Op::AvgPool { window: window(net.ty(most).shape[..2].try_into().unwrap()) });
    let sum = net.add(&[most, code], Op::Add);
    net.finish(sum)
}

/// Pools of convolutions: of sums, of floats and of codes, with rows and columns that no window has.
pub(crate) fn pools() -> Network {
    let apart = |kernel, stride| Window { stride, ..window(kernel) };
    let mut net = Piece::new([19, 14, 3], false);
    let x = net.add(&[0], conv(Window { padding: [1, 1], ..window([3, 3]) }, 37));
    let x = net.add(&[x], affine(true, true));
    let x = net.add(&[x], Op::MaxPool { window: apart([2, 1], [2, 1]) });
    let x = net.add(&[x], quantise(3, false));
    let x = net.add(&[x], packed(Window { padding: [1, 1], ..window([3, 3]) }, 40, Coding::Uniform, 1, 1));
    let x = net.add(&[x], Op::MaxPool { window: apart([1, 2], [2, 3]) });
    let x = net.add(&[x], threshold(6, true));
    let x = net.add(&[x], packed(window([2, 1]), 34, Coding::Uniform, 1, 1));
    let x = net.add(&[x], threshold(1, true));
    let x = net.add(&[x], Op::MaxPool { window: apart([1, 2], [1, 2]) });
    let x = net.add(&[x], packed(window([1, 1]), 9, Coding::Sign, 1, 1));
    let x = net.add(&[x], affine(true, true));
    let x = net.add(&[x], Op::AvgPool { window: apart([3, 2], [3, 2]) });
    let x = net.add(&[x], Op::Relu);
    net.finish(x)
}

/// Activation functions; those of `exact` need no C library.
pub(crate) fn curves(exact: bool) -> Network {
    let mut net = Piece::new([5, 5, 3], false);
    let mut x = net.add(&[0], conv(window([2, 2]), 9));
    for (_, curve) in Curve::ALL {
        let is_exact = matches!(curve, Curve::ClippedRelu | Curve::HardTanh | Curve::LeakyRelu);
        if is_exact == exact {
            x = net.add(&[x], affine(true, true));
            x = net.add(&[x], Op::Activation { curve, number: Vec::new() });
        }
    }
    net.finish(x)
}
