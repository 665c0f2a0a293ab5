//! An operation from outside of the crate: kernel, gradient and reference implementation; its
//! tests; and a network that uses it as a layer.
//!
//! y = factor · max(x, 0)², the squared ReLU (So et al., 2021, arXiv 2109.08668).
//!
//! `cargo run --release --example custom_operation`

use halfwave::custom::{
    self, Backward, Caps, CustomKind, Encoding::F32, Noise, Number, Op, Operand::*, Operation, Program, Sample,
    TensorType, View, ViewMut, elementwise,
};
use halfwave::prelude::*;
use halfwave::testing;
use std::ops::Bound;

#[derive(Clone, PartialEq, Debug)]
struct SquaredRelu {
    factor: f32,
}

/// dx = 2 · factor · max(x, 0) · dy: inputs dy, x. The gradient comes first, because a value that is
/// not finite must spread from the first input: that is how it is found.
#[derive(Clone, PartialEq, Debug)]
struct SquaredReluBackward {
    factor: f32,
}

halfwave::params! {
    struct Factor { factor: f32 }
}

impl Operation for SquaredRelu {
    fn stem(&self) -> &'static str {
        "squared_relu"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        custom::arity(inputs, 1)?;
        custom::float("the input", inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn backward(&self, cx: &mut Backward<'_>) -> halfwave::Result<()> {
        let inputs = [cx.dy(), cx.input(0)];
        let dx = cx.add(Op::custom(SquaredReluBackward { factor: self.factor }), &inputs)?;
        cx.accumulate(0, dx)
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let body = "fn at(i: u32) { let r = max(x_at(i), vec4<f32>()); y_put(i, p.factor * r * r); }";
        elementwise("squared_relu", body, output)
            .add_params(&Factor { factor: self.factor })
            .each_quad(output.words() / 4)
            .float_ops(3 * output.len())
            .read("x", F32, Input(0))
            .must_be_finite()
            .write("y", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let x = inputs[0].numbers();
        output.floats().iter_mut().zip(x.iter()).for_each(|(y, x)| *y = self.factor * x.max(0.0) * x.max(0.0));
    }
}

impl Operation for SquaredReluBackward {
    fn stem(&self) -> &'static str {
        "squared_relu_backward"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        custom::arity(inputs, 2)?;
        custom::same("the gradient", inputs[1], inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn program(&self, _inputs: &[&TensorType], output: &TensorType, _caps: &Caps) -> Program {
        let body = "fn at(i: u32) { dx_put(i, 2.0 * p.factor * max(x_at(i), vec4<f32>()) * dy_at(i)); }";
        elementwise("squared_relu_backward", body, output)
            .add_params(&Factor { factor: self.factor })
            .each_quad(output.words() / 4)
            .float_ops(4 * output.len())
            .read("dy", F32, Input(0))
            .read("x", F32, Input(1))
            .write("dx", F32, Output)
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let (dy, x) = (inputs[0].numbers(), inputs[1].numbers());
        let values = dy.iter().zip(x.iter());
        output.floats().iter_mut().zip(values).for_each(|(dx, (dy, x))| *dx = 2.0 * self.factor * x.max(0.0) * dy);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The kernels against the reference implementations, on the device that is used below.
    let mut device = halfwave::backend::open(None).block_on()?;
    let mut noise = Noise::new(1);
    let [x, dy] = [(); 2].map(|()| noise.floats(&[2, 5, 3, 7]));
    let forward = Op::custom(SquaredRelu { factor: 0.5 });
    let backward = Op::custom(SquaredReluBackward { factor: 0.5 });
    for sample in [Sample::new(forward.clone(), vec![x.clone()]), Sample::new(backward, vec![dy, x.clone()])] {
        let name = sample.op.stem();
        println!("{name}: largest error {:e}", testing::check_kernel(&mut *device, sample).block_on()?);
    }
    // The gradient against the definition in double precision.
    let error = testing::check_gradient(forward, &[x], |v| v[0].iter().map(|x| 0.5 * x.max(0.0).powi(2)).collect())?;
    println!("gradient: largest error {error:e}");

    // A kind of layer for recipes and for networks in code.
    let factor = Number {
        name: "factor",
        meaning: "factor of the square",
        default: 1.0,
        interval: (Bound::Excluded(0.0), Bound::Unbounded),
        advice: "give a number above 0",
    };
    CustomKind::new("squared_relu", |settings| Op::custom(SquaredRelu { factor: settings[0] }))
        .described("factor·max(x, 0)²", "So et al., 2021, arXiv 2109.08668")
        .number(factor)
        .register()?;
    let mut recipe = Network::builder([1, 8, 8], 10)
        .layer(Conv { filters: 16, padding: [1, 1], ..Conv::default() })
        .layer(BatchNorm::default())
        .layer(LayerKind::custom("squared_relu", &[0.5])?)
        .layer(Linear { units: 10, ..Linear::default() })
        .data(Digits)
        .recipe()?;
    recipe.train.length = Length::Epochs(3);
    println!("\n{}", recipe.to_toml());
    let images = Dataset::load(&recipe.data)?;
    let mut trainer = Trainer::new(recipe, images, device, false).block_on()?;
    trainer
        .run(&mut |row: &halfwave::metrics::Row| {
            if let halfwave::metrics::Row::Epoch(row) = row {
                println!("epoch {}: test accuracy {:.1}%", row.epoch, 100.0 * row.test_accuracy.unwrap_or_default());
            }
        })
        .block_on()?;
    Ok(())
}
