//! A small network of every operation of `halfwave-infer` with all its variants. Until the
//! activation curves all floats are multiples of a power of two and small, so that every program
//! computes the same bits, and many of them equal a threshold.

use halfwave::random::Random;
use halfwave_infer::{Coding, Curve, Input, Layer, Network, Op, Window};
use std::collections::{BTreeMap, BTreeSet};

const SHAPE: [usize; 3] = [6, 7, 3];
const CLASSES: usize = 5;
/// More than a word of channels, but not two.
const CHANNELS: usize = 40;

struct Builder {
    layers: Vec<Layer>,
    random: Random,
}

impl Builder {
    fn push(&mut self, from: &[usize], op: Op) -> usize {
        let name = format!("{}_{}", operator(&op), self.layers.len() + 1);
        self.layers.push(Layer { name, from: from.to_vec(), op });
        self.layers.len()
    }

    /// Multiples of 1/4 between −1 and 1.
    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random.below(9) as f32 / 4.0 - 1.0).collect()
    }

    fn conv(&mut self, from: usize, window: Window, [c, filters]: [usize; 2]) -> usize {
        let weight = self.floats(window.taps() * c * filters);
        self.push(&[from], Op::Conv { window, filters, weight })
    }

    fn packed(&mut self, from: usize, window: Window, coding: Coding, [c, bases, planes, levels]: [usize; 4]) -> usize {
        let words = c.div_ceil(32);
        let of_word = |word: usize| u32::MAX >> (32 - (c - word * 32).min(32));
        let count = bases * planes * CHANNELS * window.taps() * words;
        let signs = (0..count).map(|at| self.random.word() & of_word(at % words)).collect();
        let combines = bases > 1 || levels > 0;
        let coefficients = if combines { self.floats(levels.max(1) * bases * CHANNELS) } else { Vec::new() };
        let scale = if combines { vec![0.25] } else { Vec::new() };
        let op = Op::PackedConv { window, filters: CHANNELS, coding, bases, planes, signs, coefficients, scale };
        self.push(&[from], op)
    }

    fn quantise(&mut self, from: usize, at_least: bool, thresholds: &[f32]) -> usize {
        self.push(&[from], Op::Quantise { count: thresholds.len(), at_least, thresholds: thresholds.to_vec() })
    }

    /// Thresholds about 0, so that sums of an even number of terms equal some.
    fn threshold(&mut self, from: usize, count: usize, mixed: bool) -> usize {
        let start: Vec<_> = (0..CHANNELS).map(|_| self.random.below(8) as i32 - 6).collect();
        let thresholds = (0..count * CHANNELS).map(|i| start[i % CHANNELS] + 2 * (i / CHANNELS) as i32).collect();
        let falling = if mixed { (0..CHANNELS).map(|c| i32::from(c % 3 == 1)).collect() } else { Vec::new() };
        self.push(&[from], Op::Threshold { count, mixed, thresholds, falling })
    }

    fn affine(&mut self, from: usize, scaled: bool, shifted: bool) -> usize {
        let gain = if scaled { self.floats(CHANNELS) } else { Vec::new() };
        let shift = if shifted { self.floats(CHANNELS) } else { Vec::new() };
        self.push(&[from], Op::Affine { scaled, shifted, gain, shift })
    }

    fn decode(&mut self, from: usize, values: &[f32]) -> usize {
        let bits = values.len().ilog2() as u8;
        self.push(&[from], Op::Decode { bits, values: values.to_vec() })
    }

    fn sum(&mut self, terms: &[usize]) -> usize {
        terms[1..].iter().fold(terms[0], |sum, &term| self.push(&[sum, term], Op::Add))
    }
}

/// The name of an operation in files.
fn operator(op: &Op) -> String {
    serde_json::to_value(op).unwrap()["op"].as_str().unwrap().to_string()
}

fn window(kernel: usize, padding: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [1; 2], padding: [padding; 2], dilation: [1; 2] }
}

/// The network, and images.
pub(crate) fn network() -> (Network, Vec<u8>) {
    let mut b = Builder { layers: Vec::new(), random: Random::new(3, "every op") };
    let (same, c) = (window(3, 1), CHANNELS);
    let dilated = Window { dilation: [2; 2], ..window(3, 2) };
    let conv = b.conv(0, same, [3, c]);
    let x = b.affine(conv, true, true);
    let x = b.push(&[x], Op::Round { integer: 4, fraction: 2 });
    // Quantisers, with values that equal thresholds.
    let above = b.quantise(x, false, &[-1.0, 0.5, 2.0]);
    let least = b.quantise(x, true, &[-1.0, 0.5, 2.0]);
    let sign = b.quantise(x, true, &[0.25]);
    let sign_above = b.quantise(x, false, &[0.25]);
    let fine =
        b.quantise(x, false, &[-3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
    // Convolutions of codes.
    let uniform = b.packed(above, dilated, Coding::Uniform, [c, 1, 2, 0]);
    let three = b.packed(fine, same, Coding::Uniform, [c, 1, 3, 0]);
    let four = b.packed(fine, window(1, 0), Coding::Uniform, [c, 1, 4, 0]);
    let signed = b.packed(sign, same, Coding::Sign, [c, 1, 1, 0]);
    let border = b.push(&[sign_above], Op::Pad { border: [1, 2] });
    let uneven = Window { kernel: [3, 5], ..window(3, 0) };
    let padded = b.packed(border, uneven, Coding::Sign, [c, 1, 1, 0]);
    let levels = b.packed(least, same, Coding::Levels(3), [c, 2, 1, 3]);
    let bases = b.packed(above, same, Coding::Uniform, [c, 3, 1, 0]);
    // Sums to codes.
    let codes = [
        b.threshold(uniform, 3, true),
        b.threshold(signed, 3, false),
        b.threshold(padded, 2, true),
        b.threshold(three, 3, true),
    ];
    let one = b.threshold(signed, 1, true);
    let pooled = b.push(&[signed], Op::MaxPool { window: same });
    let pooled = b.threshold(pooled, 1, false);
    let together = b.push(&[codes[0], codes[1]], Op::Concat);
    let part = b.push(&[together], Op::Slice { first: 13, count: c });
    let strided = Window { stride: [2; 2], ..same };
    let small = b.push(&[part], Op::MaxPool { window: strided });
    let small = b.packed(small, window(2, 0), Coding::Uniform, [c, 1, 1, 0]);
    let small = b.affine(small, true, true);
    // Codes and sums to floats.
    let mut terms = vec![levels, bases];
    terms.push(b.decode(part, &[-0.75, -0.25, 0.25, 0.75]));
    terms.push(b.decode(codes[2], &[-1.0, -0.25, 0.25, 1.5]));
    terms.push(b.decode(codes[3], &[0.0, 0.5, 1.0, 1.5]));
    terms.push(b.decode(one, &[-1.0, 1.0]));
    terms.push(b.decode(pooled, &[0.0, 2.0]));
    terms.push(b.affine(four, true, false));
    terms.push(b.affine(three, false, true));
    let x = b.sum(&terms);
    let x = b.push(&[x], Op::Round { integer: 6, fraction: 3 });
    // Functions.
    let scales = b.push(&[x], Op::InputScale { window: same });
    let y = b.push(&[x, scales], Op::ScalePixels);
    // Windows that lie in the padding.
    let far = b.push(&[y], Op::InputScale { window: Window { stride: [2; 2], ..window(1, 4) } });
    let far = b.push(&[far], Op::Flatten);
    let slope = b.floats(c);
    let mut terms = vec![b.push(&[x], Op::Relu), b.push(&[x], Op::Prelu { slope })];
    for (at, (_, curve)) in Curve::ALL.into_iter().enumerate() {
        terms.push(b.push(&[if at % 2 == 0 { x } else { y }], Op::Activation { curve, number: vec![0.5] }));
    }
    terms.push(b.push(&[y], Op::AvgPool { window: dilated }));
    terms.push(b.push(&[y], Op::AvgPool { window: same }));
    let x = b.sum(&terms);
    let [x, small] = [x, small].map(|x| b.push(&[x], Op::Flatten));
    let x = b.push(&[x, small, far], Op::Concat);
    let len = (SHAPE[0] * SHAPE[1] + 2 * 3) * c + 7 * 8;
    b.conv(x, window(1, 0), [len, CLASSES]);

    // Names that the file uses itself.
    let last = b.layers.len() - 1;
    (b.layers[0].name, b.layers[last].name) = ("images".into(), "logits".into());
    let (kinds, random) = (b.layers.iter().map(|layer| operator(&layer.op)).collect::<BTreeSet<_>>(), &mut b.random);
    assert_eq!(kinds.len(), 19, "{kinds:?} are not all operations");
    let table = (0..256 * 3).map(|at| (at / 3 * 37 + at % 3 * 11) as f32 % 16.0 / 4.0 - 2.0).collect();
    let pixels = SHAPE.iter().product::<usize>();
    let mean = (0..pixels).map(|_| random.below(5) as f32 / 4.0 - 0.5).collect();
    let images = (0..8 * pixels).map(|_| random.word() as u8).collect();
    let input = Input { shape: SHAPE, table, mean };
    let classes = (0..CLASSES).map(|class| format!("class \"{class}\"")).collect();
    (Network { input, layers: b.layers, classes, card: BTreeMap::new() }, images)
}
