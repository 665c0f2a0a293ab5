//! The gradients of a batch-norm on the host, by tiles of rows.

use crate::ops::Operation;
use crate::ops::batch_norm::{Map, tile_rows};
use crate::ops::max_unpool::MaxUnpool;
use crate::ops::quantise::Surrogate;
use crate::ops::quantise_backward::QuantiseBackward;
use crate::simd::{self, Simd};
use crate::tensor::{Encoding::F32, View, ViewMut};
use std::borrow::Cow;

/// Operands of the reference implementations (`reference`), read by tiles.
pub(super) struct Gradient<'a> {
    pub(super) x: View<'a>,
    pub(super) coef: Cow<'a, [f32]>,
    /// dz, or the gradient of a following activation's output.
    pub(super) dz: Cow<'a, [f32]>,
    /// Surrogate of the activation, with its top in units of z.
    pub(super) through: Option<(Surrogate, f32)>,
    pub(super) lanes: usize,
}

impl<'a> Gradient<'a> {
    /// `scale` is the index of the scale among the inputs; the argmax of the pool is the last
    /// input.
    pub(super) fn new(
        inputs: &[View<'a>],
        through: Option<QuantiseBackward>,
        unpool: Option<MaxUnpool>,
        scale: usize,
    ) -> Self {
        let of_scale = |op: QuantiseBackward| if op.scaled { inputs[scale].numbers()[0] } else { 1.0 };
        let through = through.map(|op| (op.surrogate, op.top * of_scale(op)));
        let (coef, lanes) = (inputs[1].numbers(), inputs[0].ty.lanes());
        let dz = unpool.map_or_else(
            || inputs[2].numbers(),
            |pool| {
                let ty = inputs[0].ty.with(F32);
                let mut dz = vec![0.0f32; ty.words()];
                let operands = [inputs[2], inputs[inputs.len() - 1]];
                pool.reference(&operands, &mut ViewMut::new(&ty, bytemuck::cast_slice_mut(&mut dz)));
                Cow::Owned(dz)
            },
        );
        Self { x: inputs[0], coef, dz, through, lanes }
    }

    /// Values that are constant over rows, for the channels from `c` on.
    #[inline(always)]
    fn channels<S: Simd>(&self, simd: S, c: usize) -> Channels<S> {
        let unit = simd::load(simd, &self.coef[3 * self.lanes..][c..self.lanes]);
        Channels { map: Map::new(simd, &self.coef, self.lanes, c), unit, through: self.through }
    }
}

struct Channels<S: Simd> {
    map: Map<S>,
    unit: S::f32s,
    through: Option<(Surrogate, f32)>,
}

impl<S: Simd> Channels<S> {
    /// The normalised values, and dz.
    #[inline(always)]
    fn of(&self, simd: S, x: S::f32s, dz: S::f32s) -> [S::f32s; 2] {
        let dz = match self.through {
            None => dz,
            Some((surrogate, top)) => simd.mul_f32s(dz, surrogate.slopes(simd, top, self.map.of(simd, x))),
        };
        [simd.mul_f32s(simd.sub_f32s(x, self.map.mean), self.unit), dz]
    }
}

/// Computes (dγ, dβ) of some chunks of rows.
pub(super) struct ChunkSums<'a> {
    pub(super) gradient: &'a Gradient<'a>,
    /// Index of the first chunk.
    pub(super) first: usize,
    /// Number of rows of a chunk.
    pub(super) per_chunk: usize,
    pub(super) sums: &'a mut [f32],
}

impl simd::Job for ChunkSums<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gradient, first, per_chunk, sums } = self;
        let (lanes, all, mut buffer) = (gradient.lanes, gradient.x.ty.rows(), Vec::new());
        for (chunk, sums) in (first..).zip(sums.chunks_exact_mut(2 * lanes)) {
            let (gammas, betas) = sums.split_at_mut(lanes);
            let rows = chunk * per_chunk..((chunk + 1) * per_chunk).min(all);
            for start in rows.clone().step_by(tile_rows(lanes)) {
                let rows = start..(start + tile_rows(lanes)).min(rows.end);
                let dz = &gradient.dz[rows.start * lanes..rows.end * lanes];
                let x = gradient.x.rows(rows, &mut buffer);
                for c in (0..lanes).step_by(S::F32_LANES) {
                    let channels = gradient.channels(simd, c);
                    let (mut gamma, mut beta) = (simd::load(simd, &gammas[c..]), simd::load(simd, &betas[c..]));
                    for (x, dz) in x.chunks_exact(lanes).zip(dz.chunks_exact(lanes)) {
                        let [n, dz] = channels.of(simd, simd::load(simd, &x[c..]), simd::load(simd, &dz[c..]));
                        gamma = simd.add_f32s(gamma, simd.mul_f32s(dz, n));
                        beta = simd.add_f32s(beta, dz);
                    }
                    simd::store(simd, gamma, &mut gammas[c..]);
                    simd::store(simd, beta, &mut betas[c..]);
                }
            }
        }
    }
}

/// Computes dx of a tile of rows.
pub(super) struct TileDx<'a> {
    pub(super) gradient: &'a Gradient<'a>,
    /// The sums divided by the number of rows.
    pub(super) means: &'a [f32],
    /// Index of the first row.
    pub(super) first: usize,
    pub(super) out: &'a mut [f32],
}

impl simd::Job for TileDx<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gradient, means, first, out } = self;
        let (lanes, mut buffer) = (gradient.lanes, Vec::new());
        let dz = &gradient.dz[first * lanes..][..out.len()];
        let x = gradient.x.rows(first..first + out.len() / lanes, &mut buffer);
        for c in (0..lanes).step_by(S::F32_LANES) {
            let channels = gradient.channels(simd, c);
            let [along, shift] = [0, 1].map(|row| simd::load(simd, &means[row * lanes..][c..lanes]));
            let gain = simd::load(simd, &gradient.coef[4 * lanes..][c..lanes]);
            let rows = x.chunks_exact(lanes).zip(dz.chunks_exact(lanes));
            for ((x, dz), out) in rows.zip(out.chunks_exact_mut(lanes)) {
                let [n, dz] = channels.of(simd, simd::load(simd, &x[c..]), simd::load(simd, &dz[c..]));
                let rest = simd.sub_f32s(simd.sub_f32s(dz, shift), simd.mul_f32s(n, along));
                simd::store(simd, simd.mul_f32s(gain, rest), &mut out[c..]);
            }
        }
    }
}
