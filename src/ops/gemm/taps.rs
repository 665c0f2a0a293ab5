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
}

impl Taps {
    /// Input rows under the outputs of a window.
    pub(in super::super) fn inputs(window: &Window, input: [usize; 2], output: [usize; 2]) -> Self {
        Self::new(window, output, input, |at, tap| window.source(input, at, tap))
    }

    /// Output rows that see the inputs of a window.
    pub(in super::super) fn outputs(window: &Window, input: [usize; 2], output: [usize; 2]) -> Self {
        Self::new(window, input, output, |at, tap| window.target(output, at, tap))
    }

    fn new(
        window: &Window,
        [h, w]: [usize; 2],
        [source_h, source_w]: [usize; 2],
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
        Self { count, sources, rows: h * w, source_rows: source_h * source_w }
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
