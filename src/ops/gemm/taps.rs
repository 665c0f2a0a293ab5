//! Which rows meet under a window.

use crate::ops::window::Window;
use std::ops::Range;

/// What stands for a row in the border.
const BORDER: u32 = u32::MAX;

/// Which row of the one side belongs to a row of the other under each tap; the same for each image.
pub(in super::super) struct Taps {
    pub(super) count: usize,
    /// `[tap][row]` within an image.
    sources: Vec<u32>,
    rows: usize,
    source_rows: usize,
    /// How many rows the sources of neighbours are apart, where no border lies between them.
    step: usize,
    /// How many rows those are apart that see neighbours under the same taps.
    spread: usize,
}

/// Rows that stand one behind the other in [`Taps::row`]'s order and see neighbours.
const BLOCK: usize = 8;

impl Taps {
    /// Input rows under the outputs of a window.
    pub(in super::super) fn inputs(window: &Window, input: [usize; 2], output: [usize; 2]) -> Self {
        let distances = [window.stride[1], 1];
        Self::new(window, output, input, distances, |at, tap| window.source(input, at, tap))
    }

    /// Output rows that see the inputs of a window.
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

    /// How far apart the sources of rows are that follow each other in the order of [`Self::row`], where no border or end of a line lies between them.
    pub(super) fn step(&self) -> usize {
        self.step
    }

    /// The row that is computed at position `number` of a band of `rows` rows. Rows that see the same taps are computed one after the other.
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

    /// Where a row stands, counted through all images.
    #[inline(always)]
    pub(in super::super) fn place(&self, row: usize) -> Place {
        Place { row: row % self.rows, image_at: row / self.rows * self.source_rows }
    }

    /// The row under a tap of the row that stands there, counted through all images; none in the border.
    #[inline(always)]
    pub(in super::super) fn source(&self, place: Place, tap: usize) -> Option<usize> {
        let source = self.sources[tap * self.rows + place.row];
        (source != BORDER).then(|| place.image_at + source as usize)
    }

    /// For each tap, where the sources of these rows, in the order of [`Self::row`], begin among rows of `len` elements; behind all of them in the border.
    #[inline(always)]
    pub(super) fn offsets(&self, rows: Range<usize>, len: usize) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(self.count * rows.len());
        if self.spread > 1 {
            let places: Vec<_> = (0..rows.len()).map(|i| self.place(rows.start + self.row(i, rows.len()))).collect();
            for tap in 0..self.count {
                let offset = |&place: &Place| self.source(place, tap).map_or(usize::MAX, |source| source * len);
                offsets.extend(places.iter().map(offset));
            }
            return offsets;
        }
        for tap in 0..self.count {
            let sources = &self.sources[tap * self.rows..][..self.rows];
            let mut at = rows.start;
            while at < rows.end {
                // As far as the rows lie in one image.
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

    /// For each of these rows that has a source under the tap: the source, and the row's number among them.
    #[inline(always)]
    pub(super) fn pairs(&self, rows: Range<usize>, tap: usize, pairs: &mut Vec<(u32, u32)>) {
        let sources = &self.sources[tap * self.rows..][..self.rows];
        let mut at = 0;
        while at < rows.len() {
            // As far as the rows lie in one image.
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

/// Where the sources of a row are.
#[derive(Clone, Copy)]
pub(in super::super) struct Place {
    row: usize,
    image_at: usize,
}
