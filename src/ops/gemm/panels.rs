//! A matrix in the layout that blocks read.

use super::PANEL;
use crate::parallel;
use std::ops::Range;

/// The second factor of [`super::product`], a matrix `[inner][lane]` for each tap, stored as
/// `[tap][panel][inner][column]` with zeros beyond the last lane.
pub(in super::super) struct Panels {
    pub(super) inner: usize,
    pub(super) lanes: usize,
    values: Vec<[f32; PANEL]>,
}

impl Panels {
    /// Packs the matrices; `fill(tap, block)` writes the matrix `[inner][lane]` of a tap.
    pub(in super::super) fn new(
        taps: usize,
        inner: usize,
        lanes: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync + Send,
    ) -> Self {
        let mut values = vec![[0.0; PANEL]; taps * lanes.div_ceil(PANEL) * inner];
        parallel::bands(&mut values, lanes.div_ceil(PANEL) * inner, 1, |tap, panels| {
            let mut block = vec![0.0; inner * lanes];
            fill(tap, &mut block);
            for (panel, rows) in panels.chunks_exact_mut(inner).enumerate() {
                for (row, out) in block.chunks_exact(lanes).zip(rows) {
                    *out = panel_row(&row[panel * PANEL..]);
                }
            }
        });
        Self { inner, lanes, values }
    }

    /// Rows of a panel of a tap's matrix.
    #[inline(always)]
    pub(super) fn rows(&self, tap: usize, panel: usize, rows: Range<usize>) -> &[[f32; PANEL]] {
        &self.values[(tap * self.lanes.div_ceil(PANEL) + panel) * self.inner..][rows]
    }
}

/// The first columns of a row, padded with zeros to the width of a panel.
#[inline(always)]
pub(super) fn panel_row(row: &[f32]) -> [f32; PANEL] {
    match row.first_chunk() {
        Some(row) => *row,
        None => {
            let mut padded = [0.0; PANEL];
            padded[..row.len()].copy_from_slice(row);
            padded
        }
    }
}
