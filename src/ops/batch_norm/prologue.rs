//! The map of a batch-norm on the host, by tiles of rows, for reference implementations
//! (`reference`) that apply it to their input.

use crate::parallel;
use crate::simd::{self, Simd};
use crate::tensor::View;
use std::borrow::Cow;
use std::ops::Range;

/// `x` or `batch_norm(x, coef)` in a reference implementation.
pub(in super::super) struct Prologue<'a> {
    x: View<'a>,
    coef: Option<Cow<'a, [f32]>>,
}

impl<'a> Prologue<'a> {
    pub(in super::super) fn new(inputs: &[View<'a>]) -> Self {
        Self { x: inputs[0], coef: inputs.get(1).map(|coef| coef.numbers()) }
    }

    /// All lanes of some rows: either a slice of x, or `buffer`, which is resized to fit.
    #[inline(always)]
    pub(in super::super) fn tile<'b, S: Simd>(
        &'b self,
        simd: S,
        rows: Range<usize>,
        buffer: &'b mut Vec<f32>,
    ) -> &'b [f32] {
        if self.coef.is_none() {
            return self.x.rows(rows, buffer);
        }
        buffer.resize(rows.len() * self.x.ty.lanes(), 0.0);
        self.put(simd, rows, buffer);
        buffer
    }

    /// Writes all lanes of some rows.
    #[inline(always)]
    pub(in super::super) fn put<S: Simd>(&self, simd: S, rows: Range<usize>, out: &mut [f32]) {
        self.x.put_rows(rows, out);
        let (Some(coef), lanes) = (&self.coef, self.x.ty.lanes()) else { return };
        for c in (0..lanes).step_by(S::F32_LANES) {
            let map = Map::new(simd, coef, lanes, c);
            for row in out.chunks_exact_mut(lanes) {
                simd::store(simd, map.of(simd, simd::load(simd, &row[c..])), &mut row[c..]);
            }
        }
    }

    /// All values, `rows × lanes`.
    pub(in super::super) fn numbers(&self) -> Cow<'a, [f32]> {
        if self.coef.is_none() {
            return self.x.numbers();
        }
        let mut numbers = vec![0.0; self.x.ty.rows() * self.x.ty.lanes()];
        self.put_numbers(&mut numbers);
        Cow::Owned(numbers)
    }

    /// Writes all values.
    pub(in super::super) fn put_numbers(&self, out: &mut [f32]) {
        let lanes = self.x.ty.lanes();
        parallel::bands(out, lanes, tile_rows(lanes), |first, out| {
            simd::run(Values { prologue: self, first, out });
        });
    }

    /// Calls `body(row, values, out)` for each row of `row_len` elements of `out`, with all lanes
    /// of that row.
    pub(in super::super) fn rows<T: Send>(
        &self,
        out: &mut [T],
        row_len: usize,
        body: impl Fn(usize, &[f32], &mut [T]) + Sync + Send,
    ) {
        parallel::bands(out, row_len, tile_rows(self.x.ty.lanes()), |first, band| {
            simd::run(Rows { prologue: self, first, band, row_len, body: &body });
        });
    }
}

/// Number of rows whose lanes fit the L1 cache together with those of two more tensors.
pub(in super::super) fn tile_rows(lanes: usize) -> usize {
    (2048 / lanes).max(1)
}

/// The map of one vector of channels.
#[derive(Clone, Copy)]
pub(in super::super) struct Map<S: Simd> {
    pub(in super::super) mean: S::f32s,
    gain: S::f32s,
    shift: S::f32s,
}

impl<S: Simd> Map<S> {
    /// Loads the map of the channels from `c` on.
    #[inline(always)]
    pub(in super::super) fn new(simd: S, coef: &[f32], lanes: usize, c: usize) -> Self {
        let [mean, gain, shift] = [0, 1, 2].map(|row| simd::load(simd, &coef[row * lanes..][c..lanes]));
        Self { mean, gain, shift }
    }

    #[inline(always)]
    pub(in super::super) fn of(&self, simd: S, x: S::f32s) -> S::f32s {
        simd.add_f32s(simd.mul_f32s(simd.sub_f32s(x, self.mean), self.gain), self.shift)
    }
}

struct Values<'a> {
    prologue: &'a Prologue<'a>,
    first: usize,
    out: &'a mut [f32],
}

impl simd::Job for Values<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.out.len() / self.prologue.x.ty.lanes();
        self.prologue.put(simd, self.first..self.first + rows, self.out);
    }
}

struct Rows<'a, T, F> {
    prologue: &'a Prologue<'a>,
    first: usize,
    band: &'a mut [T],
    row_len: usize,
    body: &'a F,
}

impl<T, F: Fn(usize, &[f32], &mut [T])> simd::Job for Rows<'_, T, F> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (rows, mut buffer) = (self.band.len() / self.row_len, Vec::new());
        let values = self.prologue.tile(simd, self.first..self.first + rows, &mut buffer);
        let values = values.chunks_exact(self.prologue.x.ty.lanes());
        for ((row, values), out) in (self.first..).zip(values).zip(self.band.chunks_exact_mut(self.row_len)) {
            (self.body)(row, values, out);
        }
    }
}
