//! `batch_norm_sums`, `batch_norm_dx`: the full gradient of [`super::batch_norm`], including the
//! path through the statistics.
//!
//! With n = (x − mean)·unit: dγ = Σ dz·n, dβ = Σ dz (rows of the sums `[2, c]`), dy = gain·(dz −
//! dβ/P − n·dγ/P), the gradient of the real y that x represents.
//!
//! If an activation follows the map, both operations can read the gradient dy of the activation's
//! output, with dz = dy·Q̃′(z), so that the activation's own gradient is never written and read
//! again. The same holds for a max-pool: if it follows the map (and the activation), both can read
//! its gradient through the argmax that it recorded; if it precedes the batch-norm, dx can be
//! written through its argmax. Scattering a gradient into a tensor of zeros therefore costs no
//! launch. Neither does adding a gradient that arrives by another path.
//!
//! **Order of the sums** ([`super::sum`]): chunks of up to [`CHUNK`](super::sum::CHUNK) = 128 rows;
//! their sums in 64 lanes, in chunks of 128, then pairs, then the tree of lanes.

mod host;

use super::batch_norm::tile_rows;
use super::batch_norm_stats::ChunkParams;
use super::quantise::Surrogate;
use super::quantise_backward::QuantiseBackward;
use super::sum::{self, rows_per_chunk};
use super::{
    Activity, Operation, Sample, add, batch_norm,
    fusion::Case,
    max_pool::{self, MaxPoolArgmax},
    max_unpool::MaxUnpool,
    row,
    sample::Noise,
};
use crate::caps::Caps;
use crate::kernel::{
    Launch,
    Operand::{self, *},
    Program,
};
use crate::parallel;
use crate::simd;
use crate::tensor::{
    Encoding::{F32, I16, I32, Planes},
    LANES, TensorType, View, ViewMut,
};
use host::{ChunkSums, Gradient, TileDx};

/// (dγ, dβ): inputs x, coefficients, dz, or dy and its scale if there is one; then the argmax, if
/// dz or dy is the gradient of a pool's output.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNormSums {
    /// The gradient of an activation after the map.
    pub through: Option<QuantiseBackward>,
    /// The gradient of a max-pool after the map and the activation.
    pub unpool: Option<MaxUnpool>,
}

/// Gradient of the input: inputs x, coefficients, dz (or dy in its place), sums; then, if present,
/// the gradient by another path, the scale of dy, the argmax of the pool.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchNormDx {
    /// The gradient of an activation after the map.
    pub through: Option<QuantiseBackward>,
    /// The gradient of a max-pool.
    pub unpool: Option<Unpool>,
    /// Whether a gradient by another path is added.
    pub plus: bool,
    /// Whether the result overwrites dz, or dy in its place, which then has the same type: there is
    /// no pool in between.
    pub in_place: bool,
}

/// Position of a max-pool relative to the batch-norm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unpool {
    /// The pool reads the output of the batch-norm, possibly through an activation: dz is read
    /// through it.
    Read(MaxUnpool),
    /// The batch-norm reads the output of the pool: dx is written through it. The pool's windows
    /// [cover the whole input](MaxUnpool::leaves_nothing).
    Written(MaxUnpool),
}

impl Unpool {
    fn pool(&self) -> &MaxUnpool {
        match self {
            Self::Read(pool) | Self::Written(pool) => pool,
        }
    }
}

impl BatchNormDx {
    /// Number of inputs before the scale.
    fn behind(&self) -> usize {
        4 + usize::from(self.plus)
    }

    /// The pool after the map.
    fn reads_through(&self) -> Option<MaxUnpool> {
        self.unpool.and_then(|unpool| if let Unpool::Read(pool) = unpool { Some(pool) } else { None })
    }
}

crate::params! {
    struct SumsParams { rows: u32, quads: u32, top: f32 }
}

crate::params! {
    struct HalfParams { half: u32 }
}

/// The uniform for a tensor x.
fn params(x: &TensorType, through: Option<QuantiseBackward>) -> SumsParams {
    SumsParams { rows: x.rows() as u32, quads: x.quads() as u32, top: through.map_or(0.0, |op| op.top) }
}

/// Checks x, coefficients and dz, or dy with its scale.
fn infer(
    inputs: &[&TensorType],
    through: Option<QuantiseBackward>,
    unpool: Option<Unpool>,
    more: usize,
) -> Result<TensorType, String> {
    let scaled = through.is_some_and(|op| op.scaled);
    super::arity(inputs, 3 + more + usize::from(scaled) + usize::from(unpool.is_some()))?;
    batch_norm::infer_prologue(&inputs[..2])?;
    let dz = match unpool {
        Some(Unpool::Read(pool)) => pool.infer(&[inputs[2], inputs[inputs.len() - 1]])?,
        _ => inputs[2].clone(),
    };
    super::same("the gradient", &dz, &inputs[0].with(F32))?;
    if scaled {
        super::same("the scale", inputs[3 + more], &TensorType::f32(&[1]))?;
    }
    Ok(TensorType::f32(&[2, inputs[0].channels()]))
}

/// Adds what both launches need: x, coefficients and the gradient, optionally through an
/// activation, whose scale is the input `scale`, and through a pool.
fn gradient(
    launch: Launch,
    inputs: &[&TensorType],
    through: Option<QuantiseBackward>,
    unpool: Option<Unpool>,
    scale: usize,
    in_place: bool,
) -> Launch {
    let mut launch = launch
        .constant("IN_PLACE", usize::from(in_place))
        .constant("THROUGH", usize::from(through.is_some()))
        .constant("UNPOOLED", usize::from(matches!(unpool, Some(Unpool::Read(_)))))
        .constant("POOLED", usize::from(matches!(unpool, Some(Unpool::Written(_)))))
        .read("x", inputs[0].encoding, Input(0))
        .read("coef", F32, Input(1));
    launch = if in_place { launch } else { launch.read("dz", F32, Input(2)) };
    launch = launch.params(&params(inputs[0], through));
    launch.kernel.body.push(include_str!("../../shaders/batch_norm_gradient.wgsl").into());
    let launch = match through {
        None => launch,
        Some(op) if op.scaled => op.slope(launch.read("scale", F32, Input(scale))),
        Some(op) => op.slope(launch),
    };
    match unpool {
        None => launch,
        Some(unpool) => unpool.pool().constants(launch).read("argmax", Planes(2), Input(inputs.len() - 1)),
    }
}

/// Kernel label with suffixes for a fused activation and pool.
fn labelled(stem: &str, through: Option<QuantiseBackward>, unpool: Option<Unpool>) -> String {
    let through = if through.is_some() { "_through" } else { "" };
    let unpool = match unpool {
        None => "",
        Some(Unpool::Read(_)) => "_unpooled",
        Some(Unpool::Written(_)) => "_unpool",
    };
    format!("{stem}{through}{unpool}")
}

/// Float operations of dz per element.
fn gradient_ops(through: Option<QuantiseBackward>) -> usize {
    through.map_or(0, |op| 1 + op.surrogate.ops() + batch_norm::NORMALISE_OPS)
}

impl Operation for BatchNormSums {
    fn stem(&self) -> &'static str {
        "batch_norm_sums"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        infer(inputs, self.through, self.unpool.map(Unpool::Read), 0)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::Statistics)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, caps: &Caps) -> Program {
        self.program_with(inputs, &[], caps)
    }

    /// Sums in the kernels' order.
    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let gradient = Gradient::new(inputs, self.through, self.unpool, 3);
        let (lanes, rows) = (inputs[0].ty.lanes(), inputs[0].ty.rows());
        let per_chunk = rows_per_chunk(rows, lanes / LANES);
        let chunks = rows.div_ceil(per_chunk);
        let mut partial = vec![0.0; chunks * 2 * lanes];
        let band = (tile_rows(lanes) / per_chunk).max(1);
        parallel::bands(&mut partial, 2 * lanes, band, |first, sums| {
            simd::run(ChunkSums { gradient: &gradient, first, per_chunk, sums });
        });
        let sums = sum::columns(chunks, 2 * lanes, |chunk, sums| {
            sums.iter_mut().zip(&partial[chunk * 2 * lanes..]).for_each(|(sum, part)| *sum += part);
        });
        output.floats().copy_from_slice(&sums);
    }
}

impl BatchNormSums {
    /// The program, which also writes the given rows of the sums that are separate tensors, each to
    /// its node's output.
    pub(super) fn program_with(&self, inputs: &[&TensorType], rows: &[(usize, Operand)], caps: &Caps) -> Program {
        let x = inputs[0];
        let per_chunk = rows_per_chunk(x.rows(), x.quads());
        let chunks = x.rows().div_ceil(per_chunk);
        let unpool = self.unpool.map(Unpool::Read);
        let direct = sum::direct(x.rows(), caps);
        let of_chunks = |mut launch: Launch| {
            launch.kernel.body.push(include_str!("../../shaders/batch_norm_sums_chunk.wgsl").into());
            gradient(launch.constant("PER_CHUNK", per_chunk), inputs, self.through, unpool, 3, false)
        };
        let chunk_ops = (5 + gradient_ops(self.through)) * x.len();
        let text = include_str!("../../shaders/batch_norm_sums.wgsl");
        let label = match direct {
            true => labelled("batch_norm_sums_direct", self.through, unpool),
            false => "batch_norm_sums".to_string(),
        };
        let sum = sum::reduction(label, text, (2 * x.quads(), chunks), caps).constant("DIRECT", usize::from(direct));
        let sum_ops = 2 * chunks * x.channels();
        let mut sum = if direct {
            of_chunks(sum).add_params(&HalfParams { half: sum::HALF }).float_ops(chunk_ops + sum_ops)
        } else {
            let sum = sum.constant("PER_CHUNK", per_chunk).read("part", F32, Scratch(0));
            sum.params(&ChunkParams::new(x)).float_ops(sum_ops)
        };
        sum = sum.write("sums", F32, Output);
        for (index, [constant, name]) in [["ROW_0", "row_0"], ["ROW_1", "row_1"]].into_iter().enumerate() {
            let row = rows.iter().find(|(row, _)| *row == index);
            sum = sum.constant(constant, usize::from(row.is_some()));
            if let Some(&(_, operand)) = row {
                sum = sum.write(name, F32, operand);
            }
        }
        if direct {
            return sum.into();
        }
        let partial = Launch::new(
            labelled("batch_norm_sums_partial", self.through, unpool),
            &[include_str!("../../shaders/batch_norm_sums_partial.wgsl")],
        );
        let partial =
            of_chunks(partial).write("part", F32, Scratch(0)).threads(chunks * x.quads()).float_ops(chunk_ops);
        Program { scratch_words: vec![chunks * 2 * x.lanes()], launches: vec![partial, sum] }
    }

    /// Sums fused with their rows.
    pub(super) fn fused_cases() -> Vec<Case> {
        let rows: [&[usize]; 3] = [&[0, 1], &[1], &[1, 0]];
        let cases = Self::samples().into_iter().zip(rows.into_iter().cycle());
        let cases = cases.map(|(sample, rows)| {
            let sums = sample.inputs.len();
            let rows = rows.iter().map(|&index| (row::Row { index }.into(), vec![sums]));
            let nodes = [(sample.op, (0..sums).collect())].into_iter().chain(rows).collect();
            Case { name: "batch_norm_sums with rows", nodes, inputs: sample.inputs }
        });
        cases.collect()
    }

    pub(super) fn samples() -> Vec<Sample> {
        let mut noise = Noise::new(24);
        let mut samples = Vec::new();
        let mut cases = batch_norm::prologue_cases(&mut noise);
        // More rows than a single launch sums: see [`sum::direct`].
        let mut long = cases[2].clone();
        long[0] = noise.ints(&[1, 96, 96, 5], I32, 500);
        cases.push(long);
        for mut inputs in cases {
            inputs.push(noise.floats(&inputs[0].ty.shape));
            samples.push(Sample::new(BatchNormSums { through: None, unpool: None }, inputs.clone()));
            for surrogate in [Surrogate::Clipped, Surrogate::Polynomial, Surrogate::LogTailed] {
                let op = QuantiseBackward { surrogate, top: 1.25, scaled: surrogate == Surrogate::Clipped };
                let scale = op.scaled.then(|| noise.positive(&[1]));
                let inputs = inputs.iter().cloned().chain(scale).collect();
                samples.push(Sample::new(BatchNormSums { through: Some(op), unpool: None }, inputs));
            }
        }
        samples.extend(Self::unpooled(&mut noise));
        samples
    }
}

impl BatchNormSums {
    /// Samples with a pool after the map, with and without an activation in between.
    fn unpooled(noise: &mut Noise) -> Vec<Sample> {
        let scaled = QuantiseBackward { surrogate: Surrogate::Clipped, top: 1.25, scaled: true };
        let throughs = [None, Some(QuantiseBackward::RECTIFIER), Some(scaled)].into_iter().cycle();
        let samples = max_pool::argmax_cases().into_iter().zip(throughs).map(|((window, shape), through)| {
            let mut inputs = batch_norm::prologue_case(noise, &shape, I16);
            let argmax = super::Op::from(MaxPoolArgmax { window }).evaluate(&[&inputs[0]]);
            inputs.push(noise.floats(&argmax.ty.shape));
            inputs.extend(through.is_some_and(|op| op.scaled).then(|| noise.positive(&[1])));
            inputs.push(argmax);
            let unpool = Some(MaxUnpool { window, size: [shape[1], shape[2]] });
            Sample::new(BatchNormSums { through, unpool }, inputs)
        });
        samples.collect()
    }
}

impl Operation for BatchNormDx {
    fn stem(&self) -> &'static str {
        "batch_norm_dx"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let sums = infer(inputs, self.through, self.unpool, self.behind() - 3)?;
        super::same("the sums", inputs[3], &sums)?;
        let dx = inputs[0].with(F32);
        if self.in_place && self.unpool.is_some() {
            return Err("a gradient cannot be updated in place through a pool".into());
        }
        if self.plus {
            super::same("the other gradient", inputs[4], &dx)?;
        }
        match self.unpool {
            Some(Unpool::Written(pool)) if !pool.leaves_nothing() => {
                Err(format!("{} does not cover an input of {:?} completely", pool.window, pool.size))
            }
            Some(Unpool::Written(pool)) => pool.infer(&[&dx, inputs[inputs.len() - 1]]),
            _ => Ok(dx),
        }
    }

    fn in_place(&self) -> Option<usize> {
        self.in_place.then_some(2)
    }

    fn program(&self, inputs: &[&TensorType], _output: &TensorType, _caps: &Caps) -> Program {
        let (label, x) = (labelled("batch_norm_dx", self.through, self.unpool), inputs[0]);
        let label = if self.plus { label + "_plus" } else { label };
        let label = if self.in_place { label + "_in_place" } else { label };
        let launch = add::per_channel(label, &[include_str!("../../shaders/batch_norm_dx.wgsl")], x, 1.0);
        let launch = launch.constant("PLUS", usize::from(self.plus));
        let launch = gradient(launch, inputs, self.through, self.unpool, self.behind(), self.in_place);
        let launch = launch.read("sums", F32, Input(3));
        let launch = if self.plus { launch.read("other", F32, Input(4)) } else { launch };
        launch
            .write("dx", F32, Output)
            .float_ops((6 + usize::from(self.plus) + gradient_ops(self.through)) * x.len())
            .into()
    }

    fn reference(&self, inputs: &[View<'_>], output: &mut ViewMut<'_>) {
        let gradient = Gradient::new(inputs, self.through, self.reads_through(), self.behind());
        let other = self.plus.then(|| inputs[4].numbers());
        let rows = inputs[0].ty.rows() as f32;
        let means: Vec<_> = inputs[3].numbers().iter().map(|sum| sum / rows).collect();
        let put = |dx: &mut [f32]| {
            parallel::bands(dx, gradient.lanes, tile_rows(gradient.lanes), |first, out| {
                simd::run(TileDx { gradient: &gradient, means: &means, first, out: &mut *out });
                if let Some(other) = &other {
                    out.iter_mut().zip(&other[first * gradient.lanes..]).for_each(|(out, other)| *out += other);
                }
            });
        };
        if let Some(Unpool::Written(pool)) = self.unpool {
            let ty = inputs[0].ty.with(F32);
            let mut dx = vec![0; ty.words()];
            put(bytemuck::cast_slice_mut(&mut dx));
            pool.reference(&[View::new(&ty, &dx), inputs[inputs.len() - 1]], output);
        } else {
            put(output.floats());
        }
    }
}

impl BatchNormDx {
    pub(super) fn samples() -> Vec<Sample> {
        let (cases, mut noise) = (BatchNormSums::samples().into_iter(), Noise::new(26));
        let samples = cases.map(|mut sample| {
            let super::Op::BatchNormSums(op) = sample.op else { unreachable!("samples of sums") };
            sample.inputs.insert(3, sample.expected());
            let (unpool, plus) = (op.unpool.map(Unpool::Read), op.through.is_some_and(|op| !op.scaled));
            if plus {
                sample.inputs.insert(4, noise.floats(&sample.inputs[0].ty.shape));
            }
            Sample::new(BatchNormDx { through: op.through, unpool, plus, in_place: false }, sample.inputs)
        });
        let samples: Vec<_> = samples.chain(Self::unpooling()).collect();
        let over = samples.iter().filter_map(|sample| match sample.op {
            super::Op::BatchNormDx(op) if op.unpool.is_none() => {
                Some(Sample::new(BatchNormDx { in_place: true, ..op }, sample.inputs.clone()))
            }
            _ => None,
        });
        let over: Vec<_> = over.collect();
        samples.into_iter().chain(over).collect()
    }

    /// Samples with a pool before the batch-norm.
    fn unpooling() -> impl Iterator<Item = Sample> {
        let mut noise = Noise::new(25);
        let cases = max_pool::argmax_cases().into_iter();
        let pools = cases.map(|(window, shape)| (MaxUnpool { window, size: [shape[1], shape[2]] }, shape));
        pools.filter(|(pool, _)| pool.leaves_nothing()).enumerate().map(move |(at, (pool, shape))| {
            let argmax = super::Op::from(MaxPoolArgmax { window: pool.window }).evaluate(&[&noise.floats(&shape)]);
            let mut inputs = batch_norm::prologue_case(&mut noise, &argmax.ty.shape, I16);
            inputs.push(noise.floats(&argmax.ty.shape));
            let through = (at % 2 == 0).then_some(QuantiseBackward::RECTIFIER);
            let sums = BatchNormSums { through, unpool: None };
            inputs.push(Sample::new(sums, inputs.clone()).expected());
            let plus = through.is_none();
            inputs.extend(plus.then(|| noise.floats(&argmax.ty.shape)));
            inputs.push(argmax);
            let unpool = Some(Unpool::Written(pool));
            Sample::new(BatchNormDx { through, unpool, plus, in_place: false }, inputs)
        })
    }
}
