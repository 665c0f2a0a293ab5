//! Operations and kinds of layers from outside of the crate: they are compared with their reference
//! implementations by the public test kit, appear in recipes and checkpoints, are trained, and make
//! codes for packed convolutions.
#![allow(clippy::unwrap_used)]

#[path = "common/mod.rs"]
mod common;

use halfwave::backend::Backend;
use halfwave::custom::{
    self, Backward, Caps, ChannelSum, Code, CustomKind, Encoding, Encoding::F32, Launch, Noise, Number, Op, Operand::*,
    Operation, Program, Sample, Size, TensorType, View, ViewMut, elementwise,
};
use halfwave::prelude::*;
use halfwave::testing;
use std::ops::Bound;
use std::sync::Once;

/// y = x · gain of the channel + shift; `wrong` plants a fault in the kernel or in the gradient.
#[derive(Clone, PartialEq, Debug)]
struct Gain {
    shift: f32,
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Wrong {
    Kernel,
    Gradient,
}

/// a · b of the channel, or a · b if both have the same shape.
#[derive(Clone, PartialEq, Debug)]
struct Product {
    factor: f32,
}

halfwave::params! {
    struct GainParams { channel_quads: u32, shift: f32, factor: f32 }
}

fn broadcast(inputs: &[&TensorType]) -> Result<TensorType, String> {
    custom::arity(inputs, 2)?;
    custom::float("the input", inputs[0])?;
    let [x, gain] = inputs else { unreachable!("two inputs") };
    if x != gain {
        custom::same("the gain", gain, &TensorType::f32(&[x.channels()]))?;
    }
    Ok((*x).clone())
}

fn multiply(stem: &'static str, inputs: &[&TensorType], output: &TensorType, [factor, shift]: [f32; 2]) -> Program {
    let body = "fn at(i: u32) {
        let is_channel = vec4<u32>(i % p.channel_quads * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(CHANNELS);
        let y = a_at(i) * b_at(i % p.channel_quads) * p.factor + p.shift;
        y_put(i, select(vec4<f32>(), y, is_channel));
    }";
    let whole = inputs[1] == inputs[0];
    let channel_quads = if whole { output.words() / 4 } else { output.quads() } as u32;
    let channels = if whole { u32::MAX as usize } else { output.channels() };
    elementwise(stem, body, output)
        .constant("CHANNELS", channels)
        .add_params(&GainParams { channel_quads, shift, factor })
        .each_quad(output.words() / 4)
        .float_ops(2 * output.len())
        .read("a", F32, Input(0))
        .read("b", F32, Input(1))
        .write("y", F32, Output)
        .into()
}

fn multiply_reference(inputs: &[View<'_>], output: &mut ViewMut<'_>, [factor, shift]: [f32; 2]) {
    let (a, b, lanes, channels) = (inputs[0].numbers(), inputs[1].numbers(), output.ty.lanes(), output.ty.channels());
    for (i, y) in output.floats().iter_mut().enumerate().filter(|(i, _)| i % lanes < channels) {
        *y = a[i] * b[i % b.len()] * factor + shift;
    }
}

impl Operation for Gain {
    fn stem(&self) -> &'static str {
        "gain"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        broadcast(inputs)
    }

    fn backward(&self, cx: &mut Backward<'_>) -> halfwave::Result<()> {
        let (x, gain, dy) = (cx.input(0), cx.input(1), cx.dy());
        let factor = if self.wrong == Some(Wrong::Gradient) { 1.01 } else { 1.0 };
        if cx.needs_gradient(0) {
            let dx = cx.add(Op::custom(Product { factor }), &[dy, gain])?;
            cx.accumulate(0, dx)?;
        }
        if cx.needs_gradient(1) {
            let terms = cx.add(Op::custom(Product { factor: 1.0 }), &[dy, x])?;
            let sum = cx.add(ChannelSum, &[terms])?;
            cx.accumulate(1, sum)?;
        }
        Ok(())
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let factor = if self.wrong == Some(Wrong::Kernel) { 1.01 } else { 1.0 };
        multiply("gain", inputs, output, [factor, self.shift])
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        multiply_reference(inputs, output, [1.0, self.shift]);
    }
}

impl Operation for Product {
    fn stem(&self) -> &'static str {
        "gain_product"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        broadcast(inputs)
    }

    fn program(&self, inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        multiply("gain_product", inputs, output, [self.factor, 0.0])
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        multiply_reference(inputs, output, [self.factor, 0.0]);
    }
}

/// The levels 0, ¼, ½ and 1, in two bits: the largest that x reaches.
#[derive(Clone, PartialEq, Debug)]
struct PowersOfTwo;

const LEVELS: [f32; 3] = [0.25, 0.5, 1.0];

/// dy where 0 < x ≤ 1, else 0: inputs dy, x.
#[derive(Clone, PartialEq, Debug)]
struct Inside;

halfwave::params! {
    struct Words { rows: u32, quads: u32, words: u32 }
}

impl Operation for PowersOfTwo {
    fn stem(&self) -> &'static str {
        "powers_of_two"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        custom::arity(inputs, 1)?;
        custom::float("the input", inputs[0])?;
        Ok(inputs[0].with(Encoding::Planes(2)))
    }

    fn backward(&self, cx: &mut Backward<'_>) -> halfwave::Result<()> {
        let inputs = [cx.dy(), cx.input(0)];
        let dx = cx.add(Op::custom(Inside), &inputs)?;
        cx.accumulate(0, dx)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let body = "@main {
            let item = group_index(group, groups) * THREADS + thread;
            let row = item / p.words;
            let word = item - row * p.words;
            if (row >= p.rows) { return; }
            var low = 0u;
            var high = 0u;
            for (var quad = word * 8u; quad < min(word * 8u + 8u, p.quads); quad++) {
                let x = x_at(row * p.quads + quad);
                let ones = vec4<u32>(1u);
                let zeros = vec4<u32>();
                let code = select(zeros, ones, x >= vec4<f32>(0.25)) + select(zeros, ones, x >= vec4<f32>(0.5))
                    + select(zeros, ones, x >= vec4<f32>(1.0));
                let shift = vec4<u32>(quad % 8u * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
                let a = (code & ones) << shift;
                let b = ((code >> ones) & ones) << shift;
                low |= a.x | a.y | a.z | a.w;
                high |= b.x | b.y | b.z | b.w;
            }
            y[(row * 2u) * p.words + word] = low;
            y[(row * 2u + 1u) * p.words + word] = high;
        }";
        let (rows, words) = (output.rows(), output.plane_words());
        Launch::new("powers_of_two", &[body])
            .read("x", F32, Input(0))
            .must_be_finite()
            .write("y", output.encoding, Output)
            .params(&Words { rows: rows as u32, quads: output.quads() as u32, words: words as u32 })
            .float_ops(3 * output.len())
            .threads(rows * words)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let code = |x: &f32| LEVELS.iter().filter(|level| x >= level).count() as i32;
        output.put_ints(&inputs[0].numbers().iter().map(code).collect::<Vec<_>>());
    }
}

impl Operation for Inside {
    fn stem(&self) -> &'static str {
        "inside"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        custom::arity(inputs, 2)?;
        custom::same("the gradient", inputs[0], inputs[1])?;
        Ok(inputs[0].clone())
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let body = "fn at(i: u32) {
            let x = x_at(i);
            let inside = (x > vec4<f32>()) & (x <= vec4<f32>(1.0));
            dx_put(i, select(vec4<f32>(), dy_at(i), inside));
        }";
        elementwise("inside", body, output)
            .each_quad(output.words() / 4)
            .float_ops(2 * output.len())
            .read("dy", F32, Input(0))
            .must_be_finite()
            .read("x", F32, Input(1))
            .write("dx", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, x) = (inputs[0].numbers(), inputs[1].numbers());
        let values = dy.iter().zip(x.iter());
        output
            .floats()
            .iter_mut()
            .zip(values)
            .for_each(|(dx, (dy, x))| *dx = if *x > 0.0 && *x <= 1.0 { *dy } else { 0.0 });
    }
}

/// Registers the kinds "gain" and "powers_of_two", once for all tests.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shift = Number {
            name: "shift",
            meaning: "added to every value",
            default: 0.0,
            interval: (Bound::Excluded(-10.0), Bound::Excluded(10.0)),
            advice: "give a number between -10 and 10",
        };
        CustomKind::new("gain", |settings| Op::custom(Gain { shift: settings[0], wrong: None }))
            .described("gain_c·x + shift, gain learned", "")
            .number(shift)
            .learned("gain", Size::Channels, 1.5)
            .register()
            .unwrap();
        CustomKind::new("powers_of_two", |_| Op::custom(PowersOfTwo))
            .described("the largest of 0, ¼, ½, 1 that x reaches", "")
            .codes(|_| Code::Levels(LEVELS.to_vec()))
            .register()
            .unwrap();
    });
}

/// A network with both kinds; the quantiser is followed by a packed convolution.
fn recipe() -> Recipe {
    register();
    let builder = Network::builder([1, 8, 8], 10)
        .layer(Conv { filters: 12, padding: [1, 1], ..Conv::default() })
        .layer(BatchNorm::default())
        .layer(LayerKind::custom("gain", &[0.125]).unwrap())
        .layer(LayerKind::named("powers_of_two").unwrap())
        .layer(Conv { filters: 9, weights: Weights::BINARY, ..Conv::default() })
        .layer(BatchNorm::default())
        .layer(Relu)
        .layer(Linear { units: 10, ..Linear::default() })
        .optimizer(Optimizer::new(0.01, Adam::default()))
        .data(Digits);
    builder.batch(32).recipe().unwrap()
}

fn samples() -> Vec<Sample> {
    let mut noise = Noise::new(5);
    let [x, dy] = [(); 2].map(|()| noise.floats(&[2, 3, 5, 41]));
    let gain = noise.floats(&[41]);
    vec![
        Sample::new(Op::custom(Gain { shift: 0.25, wrong: None }), vec![x.clone(), gain.clone()]),
        Sample::new(Op::custom(Product { factor: 1.0 }), vec![dy.clone(), gain]),
        Sample::new(Op::custom(Product { factor: 1.0 }), vec![dy.clone(), x.clone()]),
        Sample::new(Op::custom(PowersOfTwo), vec![x.clone()]),
        Sample::new(Op::custom(Inside), vec![dy, x]),
    ]
}

/// The CPU backend, and the adapter if there is one.
fn devices() -> Vec<Box<dyn Backend>> {
    let mut devices = vec![CpuBackend::new().into()];
    devices.extend(common::adapter().map(|found| GpuBackend::open(found, None).block_on().unwrap().into()));
    devices
}

#[test]
fn kernels_agree_with_their_reference_implementations() {
    common::on_each_driver("kernels_agree_with_their_reference_implementations", || {
        for mut device in devices() {
            for sample in samples() {
                let error = testing::check_kernel(&mut *device, sample).block_on().unwrap();
                assert!(error < 1e-3, "{error}");
            }
        }
    });
}

#[test]
fn a_wrong_kernel_is_found() {
    common::on_each_driver("a_wrong_kernel_is_found", || {
        let mut noise = Noise::new(6);
        let inputs = vec![noise.floats(&[2, 3, 5]), noise.floats(&[5])];
        // The CPU backend runs the reference implementation.
        for mut device in devices().into_iter().skip(1) {
            let op = Op::custom(Gain { shift: 0.0, wrong: Some(Wrong::Kernel) });
            let error = testing::check_kernel(&mut *device, Sample::new(op, inputs.clone())).block_on().unwrap_err();
            assert_eq!(error.kind(), "model");
            assert!(error.to_string().contains("gain: ") && error.to_string().contains("differs by"), "{error}");
        }
    });
}

#[test]
fn gradients_agree_with_definitions_and_wrong_ones_are_found() {
    let mut noise = Noise::new(7);
    let inputs = [noise.floats(&[2, 3, 5]), noise.floats(&[5])];
    let definition = |v: &[Vec<f64>]| v[0].iter().enumerate().map(|(i, x)| x * v[1][i % 5] + 0.25).collect::<Vec<_>>();
    testing::check_gradient(Op::custom(Gain { shift: 0.25, wrong: None }), &inputs, definition).unwrap();
    let wrong = Op::custom(Gain { shift: 0.25, wrong: Some(Wrong::Gradient) });
    let message = testing::check_gradient(wrong, &inputs, definition).unwrap_err();
    assert!(message.contains("gradient of input 0 is off"), "{message}");
}

#[test]
fn recipes_and_checkpoints_name_registered_kinds() {
    let recipe = recipe();
    let text = recipe.to_toml();
    assert!(text.contains("shift = 0.125") && text.contains("kind = \"powers_of_two\""), "{text}");
    assert_eq!(Recipe::parse(&text, "text").unwrap(), recipe);
    for (from, to, parts) in [
        ("shift = 0.125", "shift = 12", "give a number between -10 and 10"),
        ("shift = 0.125", "shfit = 1", "did you mean \"shift\"?"),
        ("kind = \"gain\"", "kind = \"gian\"", "did you mean \"gain\"?"),
    ] {
        let error = Recipe::parse(&text.replace(from, to), "text").unwrap_err().to_string();
        assert!(error.contains(parts), "{error}");
    }
    let one = "kind = \"gain\"\nfrom = \"batch_norm1\"";
    assert!(text.contains(one), "{text}");
    let two = text.replace(one, "kind = \"gain\"\nfrom = [\"conv1\", \"batch_norm1\"]");
    let error = Recipe::parse(&two, "text").unwrap_err().to_string();
    assert!(error.contains("a gain layer takes 1 input, not 2"), "{error}");
    let again = CustomKind::new("gain", |_| Op::custom(PowersOfTwo)).register().unwrap_err().to_string();
    assert!(again.contains("already a kind of layer \"gain\""), "{again}");
    let builtin = CustomKind::new("relu", |_| Op::custom(PowersOfTwo)).register().unwrap_err().to_string();
    assert!(builtin.contains("already a kind of layer \"relu\""), "{builtin}");
    let unknown = LayerKind::custom("gone", &[]).unwrap_err().to_string();
    assert!(unknown.contains("no kind of layer \"gone\" is registered"), "{unknown}");
    let settings = LayerKind::custom("gain", &[]).unwrap_err().to_string();
    assert!(settings.contains("has 1 settings, not 0"), "{settings}");
}

#[test]
fn a_network_with_registered_kinds_is_trained_alike_on_every_device() {
    common::on_each_driver("a_network_with_registered_kinds_is_trained_alike_on_every_device", || {
        let mut recipe = recipe();
        recipe.train.length = Length::Steps(6);
        let images = Dataset::load(&recipe.data).unwrap();
        let mut all = Vec::new();
        for backend in devices() {
            let name = backend.name().to_string();
            let mut trainer = Trainer::new(recipe.clone(), images.clone(), backend, false).block_on().unwrap();
            let mut losses = Vec::new();
            trainer
                .run(&mut |row: &halfwave::metrics::Row| {
                    if let halfwave::metrics::Row::Step(row) = row {
                        losses.push(row.loss);
                    }
                })
                .block_on()
                .unwrap();
            let checkpoint = trainer.checkpoint().block_on().unwrap();
            let gain = &checkpoint.tensors["gain1.gain"];
            assert_eq!(gain.shape, [12]);
            assert!(gain.values.iter().all(|v| *v != 1.5 && (v - 1.5).abs() < 0.1), "{name}: {:?}", gain.values);
            let mut network = Network::restored(&checkpoint, CpuBackend::new()).block_on().unwrap();
            let kept = network.checkpoint().block_on().unwrap();
            assert_eq!(kept.tensors["gain1.gain"].values, gain.values);
            all.push((name, losses));
        }
        let (_, expected) = &all[0];
        assert!(expected.len() == 6 && expected[5] < expected[0], "{expected:?}");
        for (name, losses) in &all[1..] {
            let close = losses.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-4 * b);
            assert!(close, "{name}: {losses:?}, not {expected:?}");
        }
    });
}
