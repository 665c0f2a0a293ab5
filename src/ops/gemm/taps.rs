//! Correspondence between the rows of both sides of a window.

use crate::ops::window::Window;
use std::ops::Range;

/// Marks a row in the border.
const BORDER: u32 = u32::MAX;

/// For each tap, the row on one side that corresponds to a row on the other; the same for every
/// image.
pub(in super::super) struct Taps {
    pub(super) count: usize,
    /// `[tap][row]` within an image.
    sources: Vec<u32>,
    rows: usize,
    source_rows: usize,
    /// Distance between the source rows of neighbours, if no border is between them.
    step: usize,
    /// Distance between rows whose sources are neighbours at the same taps.
    spread: usize,
}

/// Number of rows that are consecutive in the order of [`Taps::row`] and have neighbouring sources.
const BLOCK: usize = 8;

impl Taps {
    /// Input rows for the outputs of a window.
    pub(in super::super) fn inputs(window: &Window, input: [usize; 2], output: [usize; 2]) -> Self {
        let distances = [window.stride[1], 1];
        Self::new(window, output, input, distances, |at, tap| window.source(input, at, tap))
    }

    /// Output rows for the inputs of a window.
    pub(in super::super) fn outputs(window: &Window, input: [usize; 2], output: [usize; 2]) -> Self {
        let distances = [1, window.stride[1]];
        Self::new(window, input, output, distances, |at, tap| window.target(output, at, tap))
    }

    fn new(
        window: &Window,
        [h, w]: [usize; 2],
        [source_h, source_w]: [usize; 2],
        [step, spread]: [usize; 2],
        source: impl Fn([usize; 2], [usize; 2]) -> Option<[usize; 2]>,
    ) -> Self {
        let count = window.taps();
        let mut sources = Vec::with_capacity(h * w * count);
        for tap in 0..count {
            let tap = [tap / window.kernel[1], tap % window.kernel[1]];
            for row in 0..h * w {
                sources.push(source([row / w, row % w], tap).map_or(BORDER, |[y, x]| (y * source_w + x) as u32));
            }
        }
        Self { count, sources, rows: h * w, source_rows: source_h * source_w, step, spread }
    }

    /// Distance between the sources of consecutive rows in the order of [`Self::row`], if no border
    /// or end of a line is between them.
    pub(super) fn step(&self) -> usize {
        self.step
    }

    /// Row that is computed at position `number` of a band of `rows` rows. Rows with the same taps
    /// are computed consecutively.
    #[inline(always)]
    pub(super) fn row(&self, number: usize, rows: usize) -> usize {
        if self.spread == 1 {
            return number;
        }
        let group = BLOCK * self.spread;
        let (first, within) = (number - number % group, number % group);
        if first + group > rows {
            return number;
        }
        first + within / BLOCK + within % BLOCK * self.spread
    }

    /// Position of a row, counted over all images.
    #[inline(always)]
    pub(in super::super) fn place(&self, row: usize) -> Place {
        Place { row: row % self.rows, image_at: row / self.rows * self.source_rows }
    }

    /// Source row at a tap, counted over all images, or `None` in the border.
    #[inline(always)]
    pub(in super::super) fn source(&self, place: Place, tap: usize) -> Option<usize> {
        let source = self.sources[tap * self.rows + place.row];
        (source != BORDER).then(|| place.image_at + source as usize)
    }

    /// For each tap, the start of the sources of these rows, in the order of [`Self::row`], in
    /// memory with rows of `len` elements; beyond its end in the border.
    #[inline(always)]
    pub(super) fn offsets(&self, rows: Range<usize>, len: usize) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(self.count * rows.len());
        if self.spread > 1 {
            let pixels: Vec<_> = (0..rows.len()).map(|i| self.place(rows.start + self.row(i, rows.len()))).collect();
            for tap in 0..self.count {
                let offset = |&place: &Place| self.source(place, tap).map_or(usize::MAX, |source| source * len);
                offsets.extend(pixels.iter().map(offset));
            }
            return offsets;
        }
        for tap in 0..self.count {
            let sources = &self.sources[tap * self.rows..][..self.rows];
            let mut at = rows.start;
            while at < rows.end {
                // Up to the end of the image.
                let Place { row, image_at } = self.place(at);
                let count = (self.rows - row).min(rows.end - at);
                let offset = |&source: &u32| match source {
                    BORDER => usize::MAX,
                    _ => (image_at + source as usize) * len,
                };
                offsets.extend(sources[row..][..count].iter().map(offset));
                at += count;
            }
        }
        offsets
    }

    /// For each of these rows that has a source at the tap: the source, and the index of the row
    /// among them.
    #[inline(always)]
    pub(super) fn pairs(&self, rows: Range<usize>, tap: usize, pairs: &mut Vec<(u32, u32)>) {
        let sources = &self.sources[tap * self.rows..][..self.rows];
        let mut at = 0;
        while at < rows.len() {
            // Up to the end of the image.
            let place = self.place(rows.start + at);
            let count = (sources.len() - place.row).min(rows.len() - at);
            for (&source, row) in sources[place.row..][..count].iter().zip(at as u32..) {
                if source != BORDER {
                    pairs.push((place.image_at as u32 + source, row));
                }
            }
            at += count;
        }
    }
}

/// Position of a row from which its sources are found.
#[derive(Clone, Copy)]
pub(in super::super) struct Place {
    row: usize,
    image_at: usize,
}
