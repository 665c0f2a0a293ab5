//! The table of low-bit layers: their codes, gradients and sign changes in the last epoch with such
//! data.

use super::draw::shorten;
use super::ranks;
use super::state::State;
use super::style::Palette;
use crate::cli::terminal::{grouped, percent};
use halfwave::train::metrics::LayerRow;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// Gap between two columns.
const GAP: u16 = 3;
/// Maximum width of a name.
const NAME: u16 = 18;

/// How the table uses the rows of a terminal.
struct Rows {
    /// Rows of bars for each quantiser.
    tall: u16,
    /// Height of the table with its heading; 0 if there is no table.
    height: u16,
    /// Number of layers visible at once.
    seen: usize,
}

impl Rows {
    /// Computes the layout for a terminal with `height` rows, of which the charts keep most and the
    /// table of ranks some.
    fn new(state: &State, height: u16) -> Self {
        let height = height - ranks::room(state, height);
        let (layers, most) = (state.layers.len(), usize::from(height) * 2 / 5);
        if layers == 0 || height < 14 {
            return Self { tall: 1, height: 0, seen: 0 };
        }
        let quantisers = state.layers.iter().filter(|(_, layer)| !layer.codes.is_empty()).count();
        if height >= 30 && layers + quantisers < most {
            return Self { tall: 2, height: (layers + quantisers + 1) as u16, seen: layers };
        }
        let height = most.min(layers + 1);
        Self { tall: 1, height: height as u16, seen: height - 1 }
    }
}

/// Returns the number of rows of the table, with its heading, on a terminal with `height` rows.
pub(super) fn height(state: &State, height: u16) -> u16 {
    Rows::new(state, height).height
}

/// Returns the number of layers that are scrolled out of view.
pub(super) fn hidden(state: &State, height: u16) -> usize {
    let rows = Rows::new(state, height);
    if rows.height == 0 { 0 } else { state.layers.len() - rows.seen }
}

/// A column: its heading, its width, and its cell for a layer.
struct Column {
    head: &'static str,
    width: u16,
    cell: fn(&LayerRow) -> Option<String>,
}

/// All text columns, the most important first.
const COLUMNS: [Column; 5] = [
    Column { head: "off ideal", width: 9, cell: |layer| off_ideal(layer).map(percent) },
    Column {
        head: "signs flipped",
        width: 13,
        cell: |layer| layer.flipped.map(|share| format!("{:.2}%", 100.0 * share)),
    },
    Column { head: "gradient passed", width: 15, cell: |layer| layer.passed.map(percent) },
    Column {
        head: "  α min    mean     max",
        width: 23,
        cell: |layer| {
            layer.alpha.map(|alpha| {
                let [min, mean, max] = [alpha.min, alpha.mean, alpha.max].map(scale);
                format!("{min:>7} {mean:>7} {max:>7}")
            })
        },
    },
    Column { head: "saturated", width: 9, cell: |layer| layer.saturated.map(grouped) },
];

fn scale(alpha: f32) -> String {
    if alpha == 0.0 || (1e-3..1e3).contains(&alpha.abs()) { format!("{alpha:.4}") } else { format!("{alpha:.1e}") }
}

/// Returns the total variation distance between the shares of codes and the ideal ones: half the
/// sum of the absolute differences.
fn off_ideal(layer: &LayerRow) -> Option<f32> {
    let same = !layer.codes.is_empty() && layer.codes.len() == layer.ideal.len();
    same.then(|| layer.codes.iter().zip(&layer.ideal).map(|(share, ideal)| (share - ideal).abs()).sum::<f32>() / 2.0)
}

/// How the bars are arranged.
#[derive(Clone, Copy, PartialEq)]
enum Bars {
    /// Share and ideal share of each code side by side, followed by a blank.
    Apart,
    /// Without the blank.
    Close,
    /// Only the shares.
    Shares,
}

impl Bars {
    fn width(self, codes: usize) -> u16 {
        let width = match self {
            Self::Apart => (3 * codes).saturating_sub(1),
            Self::Close => 2 * codes,
            Self::Shares => codes,
        };
        width.min(u16::MAX.into()) as u16
    }
}

const BARS_HEAD: &str = "codes | ideal";

/// Draws the table into an area with the number of rows that [`height`] returned, on a terminal
/// with `screen` rows.
pub(super) fn draw(state: &State, palette: &Palette, screen: u16, area: Rect, buffer: &mut Buffer) {
    let tall = Rows::new(state, screen).tall;
    if area.height < 2 || area.width < 12 {
        return;
    }
    let names = state.layers.iter().map(|(name, _)| Span::raw(name).width() as u16).max().unwrap_or(0);
    let names = names.clamp(5, NAME);
    let room = area.width.saturating_sub(names);
    let codes = state.layers.iter().map(|(_, layer)| layer.codes.len()).max().unwrap_or(0);
    let told = |column: &&Column| state.layers.iter().any(|(_, layer)| (column.cell)(layer).is_some());
    let mut columns: Vec<&Column> = COLUMNS.iter().filter(told).collect();
    let width = |bars: Bars| bars.width(codes).max(BARS_HEAD.len() as u16);
    // The last columns are dropped in favour of bars, but only if the bars cannot be closer.
    let fit = |words: usize| {
        let words: u16 = columns[..words].iter().map(|column| GAP + column.width).sum();
        let fits = |bars: &Bars| width(*bars).saturating_add(GAP + words) <= room;
        [Bars::Apart, Bars::Close, Bars::Shares].into_iter().find(fits)
    };
    let bars = (1..=columns.len().max(1)).rev().find_map(|words| fit(words.min(columns.len())));
    let bars = bars.filter(|_| codes > 0).map(|bars| (bars, width(bars)));
    let mut free = room - bars.map_or(0, |(_, width)| GAP + width);
    columns.retain(|column| {
        let fits = GAP + column.width <= free;
        free = if fits { free - GAP - column.width } else { 0 };
        fits
    });
    let gap = || Span::raw(" ".repeat(GAP.into()));
    let mut head = vec![Span::styled(format!("{:<1$}", "layer", usize::from(names)), palette.strong)];
    if let Some((bars, width)) = bars {
        let ideal = if bars == Bars::Shares { "" } else { " | ideal" };
        head.extend([
            gap(),
            Span::styled("codes", palette.train),
            Span::styled(format!("{ideal:<0$}", usize::from(width) - 5), palette.faint),
        ]);
    }
    for column in &columns {
        head.extend([gap(), Span::styled(format!("{:>1$}", column.head, usize::from(column.width)), palette.faint)]);
    }
    let mut row = Rect { height: 1, ..area };
    Line::from(head).render(row, buffer);
    for (name, layer) in state.layers.iter().skip(state.scroll.min(hidden(state, screen))) {
        let rows = if layer.codes.is_empty() { 1 } else { tall };
        row.y += rows;
        if row.y >= area.bottom() {
            break;
        }
        Line::raw(shorten(name, names)).render(Rect { width: names, ..row }, buffer);
        let mut x = row.x + names + GAP;
        if let Some((bars, width)) = bars {
            draw_bars(layer, bars, palette, Rect { x, y: row.y + 1 - rows, width, height: rows }, buffer);
            x += width + GAP;
        }
        for column in &columns {
            let cell = (column.cell)(layer).unwrap_or_default();
            Line::raw(cell).right_aligned().render(Rect { x, width: column.width, ..row }, buffer);
            x += column.width + GAP;
        }
    }
}

/// Draws a bar for each code, and beside it the ideal one. The longest bar fills the height except
/// for an eighth of a cell, which separates it from the row above.
fn draw_bars(layer: &LayerRow, bars: Bars, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let positive = |share: &f32| if share.is_finite() { share.max(0.0) } else { 0.0 };
    let ideal = if bars == Bars::Shares { &[][..] } else { &layer.ideal };
    let most = layer.codes.iter().chain(ideal).map(positive).fold(f32::MIN_POSITIVE, f32::max);
    let mut bar = |share: f32, x: u16, style| {
        let eighths = f32::from(8 * area.height - 1);
        let level = if share > 0.0 { (share / most * eighths).round().max(1.0) as u16 } else { 0 };
        for (up, y) in area.rows().rev().map(|row| row.y).enumerate() {
            let block = usize::from(level.saturating_sub(8 * up as u16).min(8));
            if block > 0 && x < area.right() {
                buffer.set_string(x, y, ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"][block - 1], style);
            }
        }
    };
    let stride = bars.width(2) - bars.width(1);
    for (code, share) in layer.codes.iter().map(positive).enumerate() {
        let x = area.x.saturating_add((code as u16).saturating_mul(stride));
        bar(share, x, palette.train);
        if let Some(ideal) = ideal.get(code) {
            bar(positive(ideal), x.saturating_add(1), palette.faint);
        }
    }
}
