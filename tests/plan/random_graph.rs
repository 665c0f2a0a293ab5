//! Random graphs with nearly all operations: branches, values with many readers, values without
//! readers, updates in place.

use halfwave::graph::{Phase, Value};
use halfwave::kernel::FAULT;
use halfwave::model;
use halfwave::ops::sample::Noise;
use halfwave::ops::window::Window;
use halfwave::ops::{
    Graph, Leaf, Op, Role,
    abc_weight::{AbcAlpha, AbcThresholds, AbcWeight},
    accumulate::Accumulate,
    activation,
    add::Add,
    avg_pool::AvgPool,
    batch_norm,
    batch_norm_moments::{BatchNormFinish, BatchNormMoments},
    batch_norm_stats::BatchNormStats,
    bconv,
    bias::Bias,
    code::{Code, SignPlanes},
    compress::{Compress, Format as MessageFormat},
    concat::Concat,
    conv::Conv,
    count_saturated::CountSaturated,
    curve::{CURVES, Curve},
    decode::Decode,
    decompress::{Decompress, Feedback},
    dorefa_gradient::DorefaGradient,
    dorefa_weight::{DorefaThresholds, DorefaWeight},
    dropout::Dropout,
    fixed::{self, Format, Rounding},
    flatten::Flatten,
    gather::{Augment, Gather, Padding},
    half_scales::{HalfScales, HalfSeen},
    input_scale::{InputScale, ScaleRows},
    max_abs::MaxAbs,
    max_pool::MaxPool,
    mean::Mean,
    pad::Pad,
    prelu::Prelu,
    quantise::{self, Quantise, Surrogate},
    record::Record,
    relu::Relu,
    scale, sign,
    slice::Slice,
    synchronise::{Shared, Synchronise},
    unpack::Unpack,
    vote::{Flip, Vote},
};
use halfwave::pass::{self, Optimizer, Rule};
use halfwave::tensor::{Encoding, TensorType};

/// An activation: codes have a step; sums have a step, α and a largest magnitude.
#[derive(Clone, Copy)]
struct Activation {
    value: Value,
    step: f32,
    alpha: Option<Value>,
    largest: usize,
}

struct Maker {
    graph: Graph,
    noise: Noise,
    all: Vec<Activation>,
    random: Option<Value>,
}

/// The graph of this number; every second one is differentiated and updated, every fourth one also
/// simplified, fused and reordered by `together`.
pub(crate) fn random_graph(number: u64) -> Graph {
    let mut maker = Maker { graph: Graph::new(), noise: Noise::new(number + 1000), all: Vec::new(), random: None };
    maker.graph.at("random", Phase::Forward);
    let shape = [1 + maker.below(3), 3 + maker.below(5), 3 + maker.below(5), 1 + maker.below(9)];
    let images = if number.is_multiple_of(3) {
        maker.gathered(shape)
    } else {
        maker.add(Leaf::input("images", TensorType::f32(&shape)), &[])
    };
    maker.keep(images);
    for _ in 0..8 + maker.below(16) {
        maker.grow();
    }
    let pick = |maker: &mut Maker| maker.all[maker.noise.bits() as usize % maker.all.len()].value;
    let outputs: Vec<_> = (0..1 + maker.below(3)).map(|_| pick(&mut maker)).collect();
    for (i, value) in outputs.into_iter().enumerate().filter(|(_, value)| value.0 != 0) {
        maker.graph.output(format!("out{i}"), value);
    }
    if number % 2 == 1 {
        maker.train();
    }
    maker.graph.verify();
    if number % 4 == 3 {
        let simple = pass::simplify(&maker.graph).unwrap();
        let fused = pass::simplify(&pass::fuse(&simple).unwrap()).unwrap();
        fused.verify();
        let together = pass::together(&fused).unwrap();
        together.verify();
        return together;
    }
    maker.graph
}

impl Maker {
    fn below(&mut self, bound: usize) -> usize {
        self.noise.bits() as usize % bound
    }

    fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Value {
        self.graph.add(op, inputs).unwrap()
    }

    fn keep(&mut self, value: Value) {
        self.all.push(Activation { value, step: 1.0, alpha: None, largest: 0 });
    }

    fn state(&mut self, what: &str, shape: &[usize], trained: bool) -> Value {
        let name = format!("layer{}.{what}", self.graph.nodes().len());
        self.add(Leaf { name, ty: TensorType::f32(shape), role: Role::State { trained } }, &[])
    }

    /// Images of that shape from a store of bytes in two parts, with all kinds of augmentation.
    fn gathered(&mut self, [n, h, w, c]: [usize; 4]) -> Value {
        let augment = Augment { pad: 2, padding: Padding::Reflect, mirror: true, cutout: 2 };
        let source = [h + 1, w + 2, c];
        let gather = Gather { source, size: [h, w], images: 5, part_images: 3, augment, mean: true, stream: 7 };
        let words = |shape: &[usize]| TensorType::new(shape, Encoding::U32);
        let mut leaves = vec![
            self.add(Leaf::input("index", words(&[n])), &[]),
            self.state("table", &[256, c], false),
            self.add(Leaf::input("random", words(&[4])), &[]),
            self.state("mean", &source, false),
        ];
        self.random = Some(leaves[2]);
        for (part, (_, images)) in gather.parts().enumerate() {
            let (name, ty) = (format!("store/{part}"), gather.part_type(images));
            leaves.push(self.add(Leaf { name, ty, role: Role::State { trained: false } }, &[]));
        }
        self.add(gather, &leaves)
    }

    fn float(&mut self, x: Activation) -> Value {
        match (self.graph.ty(x.value).encoding, x.alpha) {
            (Encoding::F32, _) => x.value,
            (_, Some(alpha)) => self.add(Decode::uniform(x.step), &[x.value, alpha]),
            (_, None) => self.add(Decode::uniform(x.step), &[x.value]),
        }
    }

    fn window(&mut self, x: Value) -> Window {
        let [_, h, w, _] = self.graph.ty(x).nhwc();
        match self.below(4) {
            0 if h > 1 && w > 1 => Window::square(2, 2, 0),
            1 => Window::square(3, 2, 1),
            2 => Window::new([h.min(2), 1], [1, 1], [0, 0]),
            _ => Window::square(3, 1, 1),
        }
    }

    /// A window, with dilation where it fits.
    fn convolution_window(&mut self, x: Value) -> Window {
        let [_, h, w, _] = self.graph.ty(x).nhwc();
        let window = self.window(x);
        let dilated = window.dilated([1 + self.below(2), 1 + self.below(3)]);
        if dilated.output([h, w]).is_ok() { dilated } else { window }
    }

    /// Appends one layer of a random kind after a random activation.
    fn grow(&mut self) {
        // Mostly after a recent one, so that graphs become deep.
        let back = self.all.len().min(if self.below(3) == 0 { usize::MAX } else { 3 });
        let at = self.all.len() - 1 - self.below(back);
        let x = self.all[at];
        let ty = self.graph.ty(x.value).clone();
        let channels = ty.channels();
        match self.below(18) {
            16 => self.curves(x),
            17 => self.fixed_point(x),
            13 => self.learned_step(x),
            14 => self.binary_signs(x),
            15 => self.many_planes(x),
            0 => {
                let a = self.float(x);
                let mut others = self.all.iter().map(|other| other.value);
                let reference = others.rfind(|&other| self.graph.ty(other) == self.graph.ty(a)).unwrap_or(a);
                let sum = self.add(Add, &[a, reference]);
                self.keep(sum);
            }
            1 => {
                let x = self.float(x);
                let y = self.add(Relu, &[x]);
                self.keep(y);
            }
            2 => {
                let (x, b) = (self.float(x), self.state("bias", &[channels], true));
                let y = self.add(Bias, &[x, b]);
                self.keep(y);
            }
            3 => {
                let window = self.convolution_window(x.value);
                let filters = 1 + self.below(10);
                let [r, s] = window.kernel;
                let w = self.state("weight", &[r, s, ty.lanes(), filters], true);
                let Encoding::Planes(bits) = ty.encoding else {
                    let x = self.float(x);
                    let y = self.add(Conv { window }, &[x, w]);
                    return self.keep(y);
                };
                let signs = self.add(sign::Sign::identity(channels), &[w]);
                let alpha = self.add(sign::Alpha { channels, scope: sign::Scope::Filter }, &[w]);
                let op = bconv::Bconv::uniform(window, x.step);
                let largest = op.largest_sum(bits, channels);
                let value = self.add(op, &[x.value, signs, alpha]);
                self.all.push(Activation { value, step: x.step, alpha: Some(alpha), largest });
            }
            4 => {
                let window = self.window(x.value);
                let value = self.add(MaxPool { window }, &[x.value]);
                self.all.push(Activation { value, ..x });
            }
            5 => {
                let (window, x) = (self.window(x.value), self.float(x));
                let y = self.add(AvgPool { window }, &[x]);
                self.keep(y);
            }
            6 | 7 => {
                let z = self.batch_norm(x);
                self.keep(z);
            }
            8 => {
                let first = self.below(channels);
                let slice = Slice { first, count: 1 + self.below(channels - first) };
                let value = self.add(slice, &[x.value]);
                let alpha = x.alpha.map(|alpha| self.add(slice, &[alpha]));
                self.all.push(Activation { value, alpha, ..x });
            }
            9 => self.concat(x),
            10 => {
                let (random, x, stream) = (self.random(), self.float(x), self.noise.bits());
                let y = self.add(Dropout { rate: 0.25, stream }, &[x, random]);
                self.keep(y);
            }
            11 => {
                let x = self.float(x);
                let y = self.add(Flatten, &[x]);
                self.keep(y);
            }
            _ => {
                let x = self.float(x);
                let kinds = [Surrogate::Identity, Surrogate::Vanilla, Surrogate::Clipped, Surrogate::LogTailed];
                let (top, step) = ((1 << (1 + self.below(4))) - 1, 0.3);
                let levels: Vec<_> = (1..=top).map(|i| i as f32 * step).collect();
                let op = Quantise::half_wave(&levels, false, kinds[self.below(4)]);
                let value = self.add(op, &[x]);
                self.all.push(Activation { value, step, alpha: None, largest: 0 });
            }
        }
    }

    /// Concatenates x and another activation with the same pixels; encoded if both represent floats
    /// in the same way.
    fn concat(&mut self, x: Activation) {
        let pixels = |other: &Activation| self.graph.ty(other.value).shape[..3] == self.graph.ty(x.value).shape[..3];
        let others: Vec<_> = self.all.iter().copied().filter(pixels).collect();
        let other = others[self.below(others.len())];
        let encoding = |of: Activation| (self.graph.ty(of.value).encoding, of.step, of.alpha.is_some());
        if encoding(x) != encoding(other) {
            let both = [self.float(other), self.float(x)];
            let y = self.add(Concat, &both);
            return self.keep(y);
        }
        let value = self.add(Concat, &[other.value, x.value]);
        let alphas = other.alpha.zip(x.alpha);
        let alpha = alphas.map(|(a, b)| self.add(Concat, &[a, b]));
        self.all.push(Activation { value, step: x.step, alpha, largest: x.largest.max(other.largest) });
    }

    /// LSQ's codes, decoded with their learned step.
    fn learned_step(&mut self, x: Activation) {
        let (x, scale) = (self.float(x), self.state("scale", &[1], true));
        let codes = self.add(Quantise::nearest(2, 3.0, Some(quantise::Scale::Lsq)), &[x, scale]);
        let y = self.add(Decode::uniform(1.0), &[codes, scale]);
        let total = self.add(scale::Total, &[y]);
        let y = self.add(scale::Scale, &[y, total]);
        self.keep(y);
    }

    fn random(&mut self) -> Value {
        let random = match self.random {
            Some(random) => random,
            None => self.add(Leaf::input("random", TensorType::new(&[4], Encoding::U32)), &[]),
        };
        *self.random.insert(random)
    }

    /// An activation function, and one with learned slopes.
    fn curves(&mut self, x: Activation) {
        let x = self.float(x);
        let curve = Curve::from(&CURVES[self.below(CURVES.len())]);
        let y = self.add(activation::Activation { curve }, &[x]);
        let slope = self.state("slope", &[self.graph.ty(x).channels()], true);
        let y = self.add(Prelu, &[slope, y]);
        self.keep(y);
    }

    /// Fixed point, whose saturated values are counted; gradients that are rounded.
    fn fixed_point(&mut self, x: Activation) {
        let (random, x, stream) = (self.random(), self.float(x), self.noise.bits());
        let format = Format { integer_bits: 1, fraction_bits: 5 };
        let value = fixed::Quantiser { format, rounding: Rounding::Stochastic, stream };
        let name = format!("layer{}.saturated", self.graph.nodes().len());
        let ty = TensorType::new(&[2], Encoding::U32);
        let counter = self.add(Leaf { name, ty, role: Role::State { trained: false } }, &[]);
        self.add(CountSaturated { format }, &[counter, x]);
        let y = self.add(fixed::Fixed { value, gradient: Some(value), in_place: false }, &[random, x]);
        let y = self.add(DorefaGradient { bits: 2, stream }, &[y, random]);
        self.keep(y);
    }

    /// A float convolution with weights of several planes.
    fn many_planes(&mut self, x: Activation) {
        let x = self.float(x);
        let (window, channels, filters) = (self.window(x), self.graph.ty(x).channels(), 1 + self.below(6));
        let [r, s] = window.kernel;
        let weight = self.state("weight", &[r, s, channels.next_multiple_of(4), filters], true);
        let (signs, alpha, planes) = if self.below(2) == 0 {
            let largest = self.add(MaxAbs, &[weight]);
            let thresholds = self.add(DorefaThresholds { bits: 2 }, &[largest]);
            let signs = self.add(DorefaWeight { bits: 2, channels }, &[weight, thresholds, largest]);
            let alpha = self.add(sign::Alpha { channels, scope: sign::Scope::Constant(0.25) }, &[weight]);
            (signs, alpha, SignPlanes::Binary(2))
        } else {
            let bases = 1 + self.below(3);
            let thresholds = self.add(AbcThresholds { bases, channels }, &[weight]);
            let alpha = self.add(AbcAlpha { bases, channels }, &[weight, thresholds]);
            let signs = self.add(AbcWeight { bases, channels }, &[weight, thresholds, alpha]);
            (signs, alpha, SignPlanes::Bases(bases))
        };
        let unpacked = self.add(Unpack { channels, planes }, &[signs, alpha]);
        let y = self.add(Conv { window }, &[x, unpacked]);
        self.keep(y);
    }

    /// Signs padded with ones with packed signs as weights, and floats with the same signs
    /// unpacked, with XNOR-Net's gradient.
    fn binary_signs(&mut self, x: Activation) {
        let x = self.float(x);
        let [_, h, w, channels] = self.graph.ty(x).nhwc();
        let (window, filters) = (Window::new([h.min(2), w.min(3)], [1, 1], [0, 0]), 1 + self.below(6));
        let shape = [window.kernel[0], window.kernel[1], channels.next_multiple_of(4), filters];
        let weight = self.state("weight", &shape, true);
        let alpha = self.add(sign::Alpha { channels, scope: sign::Scope::Layer }, &[weight]);
        let signs = self.add(sign::Sign { channels, scope: Some(sign::Scope::Layer) }, &[weight, alpha]);
        let codes = self.add(Quantise::sign(Surrogate::HardTanh), &[x]);
        let codes = self.add(Pad { rim: [0, 1] }, &[codes]);
        let op = bconv::Bconv { window, code: Code::Sign, planes: SignPlanes::ONE };
        let largest = op.largest_sum(1, channels);
        let value = self.add(op, &[codes, signs, alpha]);
        self.all.push(Activation { value, step: 1.0, alpha: Some(alpha), largest });
        let unpacked = self.add(Unpack { channels, planes: SignPlanes::ONE }, &[signs, alpha]);
        let y = self.add(Conv { window }, &[x, unpacked]);
        let scale = self.add(InputScale { window }, &[x]);
        let y = self.add(ScaleRows, &[y, scale]);
        self.keep(y);
    }

    fn batch_norm(&mut self, x: Activation) -> Value {
        let scaled = x.alpha.is_some();
        let value = if scaled { x.value } else { self.float(x) };
        let (rows, channels) = (self.graph.ty(value).rows(), self.graph.ty(value).channels());
        let step = if scaled { x.step } else { 1.0 };
        let affine = (self.below(2) == 1).then(|| ["gamma", "beta"].map(|name| self.state(name, &[channels], true)));
        let running = self.state("running", &[2, channels], false);
        let stats = self.statistics(value, x.largest, rows);
        let op = batch_norm::BatchNormCoef { eps: 1e-5, step, scaled, affine: affine.is_some(), running: false };
        let inputs: Vec<_> = [stats].into_iter().chain(x.alpha).chain(affine.into_iter().flatten()).collect();
        let coef = self.add(op, &inputs);
        let op = batch_norm::BatchNormRunning { momentum: 0.1, rows, step, scaled };
        let inputs: Vec<_> = [Some(running), Some(stats), x.alpha].into_iter().flatten().collect();
        self.add(op, &inputs);
        self.add(batch_norm::BatchNorm, &[value, coef])
    }

    /// Statistics of a batch-norm, some of them as ranks exchange them.
    fn statistics(&mut self, x: Value, largest: usize, rows: usize) -> Value {
        let exact = self.graph.ty(x).is_exact();
        if self.below(3) > 0 {
            return self.add(BatchNormStats { largest }, &[x]);
        }
        if !exact {
            let stats = self.add(BatchNormStats { largest }, &[x]);
            return self.add(Synchronise { shared: Shared::Statistics, rows }, &[stats]);
        }
        let moments = self.add(BatchNormMoments { largest, rows }, &[x]);
        let moments = self.add(Synchronise { shared: Shared::Moments, rows }, &[moments]);
        self.add(BatchNormFinish { rows }, &[moments])
    }

    /// Differentiates the last float activation, records its mean, updates all leaves with a
    /// gradient; some gradients are outputs.
    fn train(&mut self) {
        let last = self.all[self.all.len() - 1];
        let root = self.float(last);
        let shape = self.graph.ty(root).shape.clone();
        let seed = self.add(Leaf::input("seed", TensorType::f32(&shape)), &[]);
        let step = self.add(Leaf::input("step", TensorType::new(&[1], Encoding::U32)), &[]);
        let mean = self.add(Mean { of: None }, &[root]);
        let history = self.state("history", &[5, shape[3] + 1], false);
        let (name, ty) = (FAULT.to_string(), TensorType::new(&[1], Encoding::U32));
        let fault = self.add(Leaf { name, ty, role: Role::State { trained: false } }, &[]);
        self.add(Record, &[history, mean, step, fault]);
        let micro = self.add(Leaf::input("micro", TensorType::f32(&[4])), &[]);
        let sum = self.state("accumulated", &[shape[3]], false);
        self.add(Accumulate, &[sum, mean, micro]);
        self.messages(root);
        // Tables without a use in the graph: plans use them, not operations.
        let scales = self.state("scales", &[3, 4], false);
        let seen = Leaf {
            name: "noted.saturated".to_string(),
            ty: TensorType::new(&[3, 4], Encoding::U32),
            role: Role::State { trained: false },
        };
        let seen = self.add(seen, &[]);
        self.add(HalfScales, &[scales, seen]);
        self.add(HalfSeen, &[seen]);
        let gradients = pass::differentiate(&mut self.graph, root, Some(seed)).unwrap();
        for (i, (_, gradient)) in gradients.iter().enumerate().filter(|(i, _)| i % 3 == 0) {
            // The seed itself may be a gradient; a leaf cannot be an output.
            if !matches!(self.graph.node(*gradient).op, Op::Leaf(_)) {
                self.graph.output(format!("grad{i}"), *gradient);
            }
        }
        let optimizer = self.optimizer();
        let name = |leaf| match &self.graph.node(leaf).op {
            Op::Leaf(leaf) => leaf.name.clone(),
            op => panic!("{} is no leaf", op.stem()),
        };
        let signs = self.graph.nodes().iter().filter(|node| matches!(node.op, Op::Sign(_)));
        let binary: Vec<_> = signs.map(|node| name(node.inputs[0])).collect();
        let clipped: Vec<_> = gradients.iter().map(|(leaf, _)| name(*leaf)).step_by(3).collect();
        let [binary, clipped] =
            [binary, clipped].map(|names| move |name: &str| names.iter().any(|known| known == name));
        let role = |name: &str| model::Role::Weight { binary: binary(name), clipped: clipped(name) };
        pass::update(&mut self.graph, &gradients, &optimizer, role).unwrap();
    }

    /// A message of a float and its residual, which it updates; a vote on a weight, and a weight that flips by the
    /// message.
    fn messages(&mut self, x: Value) {
        let shape = self.graph.ty(x).shape.clone();
        let residual = self.state("residual", &shape, false);
        let x = self.add(Add, &[x, residual]);
        let format = MessageFormat::ALL[self.graph.nodes().len() % MessageFormat::ALL.len()];
        let random = format.uses_random().then(|| self.random());
        let inputs: Vec<_> = [x].into_iter().chain(random).collect();
        let message = self.add(Compress { format, stream: 11 }, &inputs);
        self.add(Feedback { format, channels: None }, &[residual, x, message]);
        let sum = self.add(Decompress { format, messages: 1, shape: shape.clone(), channels: None }, &[message]);
        self.graph.output("sum", sum);
        let [vote, weight, flipping] = ["vote", "weight", "flipping"].map(|what| self.state(what, &shape, false));
        self.add(Vote { threshold: 0.1 }, &[vote, weight, x]);
        self.add(Flip, &[flipping, sum]);
    }

    fn optimizer(&mut self) -> Optimizer {
        let rules = Rule::examples();
        let rule = rules[self.below(rules.len())];
        let clip_norm = (self.below(2) == 1).then_some(2.0);
        Optimizer { weight_decay: 1e-3, clip_norm, ..Optimizer::new(0.05, rule) }
    }
}
