//! Line plots in braille characters, two by four dots per cell, with axes.

use super::style::Palette;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Position and value.
pub(super) type Point = (f64, f64);

/// How a line is drawn, so that lines differ even without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stroke {
    Solid,
    Dashed,
    Dotted,
    /// Only the points.
    Cloud,
}

impl Stroke {
    /// Returns whether dot number `at` along the line is drawn.
    fn inks(self, at: usize) -> bool {
        match self {
            Self::Solid => true,
            Self::Dashed => at % 6 < 4,
            Self::Dotted => at.is_multiple_of(3),
            Self::Cloud => false,
        }
    }

    /// Returns a sample of the line, for a legend.
    pub(super) fn sample(self) -> &'static str {
        match self {
            Self::Solid => "⠤⠤",
            Self::Dashed => "⠤⠄",
            Self::Dotted | Self::Cloud => "⠄⠠",
        }
    }
}

/// A line.
pub(super) struct Line {
    pub(super) points: Vec<Point>,
    pub(super) style: Style,
    pub(super) stroke: Stroke,
}

/// Lines over common axes; later ones are drawn on top.
pub(super) struct Plot {
    pub(super) lines: Vec<Line>,
    pub(super) x: (f64, f64),
    pub(super) x_name: &'static str,
    pub(super) y: (f64, f64),
    /// Whether the y axis is logarithmic, which requires a range above 0.
    pub(super) logarithmic: bool,
    pub(super) y_text: fn(f64) -> String,
}

impl Plot {
    /// Draws the plot inside `area`, with axes if there is room for them.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, palette: &Palette) {
        let below = if area.height >= 5 { 2 } else { 0 };
        let mut inner = Rect { height: area.height - below, ..area };
        let ticks = self.y_ticks(usize::from(inner.height / 2).clamp(1, 8));
        let labels: Vec<_> = ticks.iter().map(|&tick| (tick, (self.y_text)(tick))).collect();
        let width = labels.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        let left = width.max(self.x_name.len()) as u16 + 2;
        let axes = area.width > 3 * left;
        if axes {
            inner = Rect { x: area.x + left, width: area.width - left, ..inner };
            for y in inner.y..inner.bottom() {
                buffer.set_string(inner.x - 1, y, "│", palette.faint);
            }
            for (tick, text) in labels {
                let y = inner.y + (self.up(tick) * f64::from(inner.height.saturating_sub(1))).round() as u16;
                buffer.set_string(inner.x - 1, y, "┤", palette.faint);
                buffer.set_string(inner.x - 2 - text.chars().count() as u16, y, text, palette.faint);
            }
        }
        if below > 0 && axes {
            let x = inner.x - 1 - self.x_name.len() as u16;
            buffer.set_string(x, inner.bottom() + 1, self.x_name, palette.faint);
            buffer.set_string(inner.x - 1, inner.bottom(), "└", palette.faint);
        }
        if below > 0 {
            self.x_axis(Rect { y: inner.bottom(), height: below, ..inner }, buffer, palette);
        }
        self.lines(inner, buffer);
    }

    fn x_axis(&self, area: Rect, buffer: &mut Buffer, palette: &Palette) {
        buffer.set_string(area.x, area.y, "─".repeat(area.width.into()), palette.faint);
        let mut free = area.x;
        for tick in nice(self.x.0, self.x.1, usize::from(area.width / 9).clamp(1, 8), 1.0) {
            let text = whole(tick);
            let (at, width) = (
                area.x + (self.along(tick) * f64::from(area.width.saturating_sub(1))).round() as u16,
                text.len() as u16,
            );
            buffer.set_string(at, area.y, "┴", palette.faint);
            let from = at.saturating_sub(width / 2).clamp(area.x, (area.right()).saturating_sub(width).max(area.x));
            if from >= free && from + width <= area.right() {
                buffer.set_string(from, area.y + 1, &text, palette.faint);
                free = from + width + 2;
            }
        }
    }

    fn y_ticks(&self, most: usize) -> Vec<f64> {
        let (low, high) = self.y;
        if !self.logarithmic {
            return nice(low, high, most, 0.0);
        }
        let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
        let of = |digits: &[f64]| -> Vec<f64> {
            let all = decades.clone().flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)));
            all.filter(|tick| (low..=high).contains(tick)).collect()
        };
        let fit = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]].map(of).into_iter().find(|ticks| ticks.len() <= most);
        fit.unwrap_or_else(|| {
            let ticks = of(&[1.0]);
            let stride = ticks.len().div_ceil(most);
            ticks.into_iter().step_by(stride).collect()
        })
    }

    /// Maps x to 0 at the left edge, 1 at the right.
    fn along(&self, x: f64) -> f64 {
        share(x, self.x)
    }

    /// Maps y to 0 at the top edge, 1 at the bottom.
    fn up(&self, y: f64) -> f64 {
        let log = |v: f64| if self.logarithmic { v.log10() } else { v };
        1.0 - share(log(y), (log(self.y.0), log(self.y.1)))
    }

    fn lines(&self, area: Rect, buffer: &mut Buffer) {
        let (columns, rows) = (usize::from(area.width) * 2, usize::from(area.height) * 4);
        if columns == 0 || rows == 0 {
            return;
        }
        for line in &self.lines {
            let mut dots = vec![0u8; usize::from(area.width) * usize::from(area.height)];
            let mut set = |(x, y): (i64, i64)| {
                let (x, y) = (x as usize, y as usize);
                dots[y / 4 * usize::from(area.width) + x / 2] |= DOTS[x % 2][y % 4];
            };
            let place = |&(x, y): &Point| {
                let at = |share: f64, count: usize| (share * (count - 1) as f64).round() as i64;
                (at(self.along(x), columns), at(self.up(y), rows))
            };
            let visible =
                |point: &&Point| point.0.is_finite() && point.1.is_finite() && (!self.logarithmic || point.1 > 0.0);
            let points: Vec<_> = line.points.iter().filter(visible).map(place).collect();
            if let [(x, y)] = points[..] {
                // A single dot would not be visible.
                let other = |at: i64, count: usize| if at + 1 < count as i64 { at + 1 } else { at - 1 };
                let (right, below) = (other(x, columns), other(y, rows));
                [(x, y), (right, y), (x, below), (right, below)].into_iter().for_each(&mut set);
            }
            if line.stroke == Stroke::Cloud {
                points.iter().copied().for_each(&mut set);
            }
            let mut along = 0;
            for pair in points.windows(2) {
                between(pair[0], pair[1], |dot| {
                    if line.stroke.inks(along) {
                        set(dot);
                    }
                    along += 1;
                });
            }
            for (at, &dots) in dots.iter().enumerate().filter(|(_, dots)| **dots > 0) {
                let (x, y) = (at as u16 % area.width, at as u16 / area.width);
                let braille = char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ');
                buffer[(area.x + x, area.y + y)].set_char(braille).set_style(line.style);
            }
        }
    }
}

/// Bits of the dots in a braille cell, by column and row.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Draws all dots of a line except the first (Bresenham, 1965), or the only dot of a line of length
/// 0.
fn between(from: (i64, i64), to: (i64, i64), mut set: impl FnMut((i64, i64))) {
    let (dx, dy) = ((to.0 - from.0).abs(), (to.1 - from.1).abs());
    let steps = dx.max(dy).max(1);
    for step in 1..=steps {
        let part = |from: i64, to: i64| from + ((to - from) * 2 * step + steps).div_euclid(2 * steps);
        set((part(from.0, to.0), part(from.1, to.1)));
    }
}

/// Returns the position of `v` in the range, from 0 to 1; 0.5 for an empty range.
fn share(v: f64, (low, high): (f64, f64)) -> f64 {
    let share = (v - low) / (high - low);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
}

/// Returns at most `most` multiples of 1, 2 or 5 times a power of ten inside a range, at least
/// `least` apart.
///
/// Returns at least one for a range that contains such a multiple.
pub(super) fn nice(low: f64, high: f64, most: usize, least: f64) -> Vec<f64> {
    if !(low.is_finite() && high.is_finite()) || high <= low {
        return vec![low];
    }
    let power = 10f64.powf(((high - low) / most as f64).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0].map(|digit| (digit * power).max(least));
    let ticks = |step: f64| ((low / step - 1e-9).ceil() as i64)..=((high / step + 1e-9).floor() as i64);
    let step = steps.into_iter().find(|&step| ticks(step).count() <= most).unwrap_or(high - low);
    ticks(step).map(|multiple| multiple as f64 * step).collect()
}

/// Formats a count, abbreviated from ten thousand.
pub(super) fn whole(value: f64) -> String {
    let short = |value: f64, unit: &str| format!("{}{unit}", short(value));
    match value {
        0.0..10_000.0 => format!("{value:.0}"),
        10_000.0..1e6 => short(value / 1e3, "k"),
        1e6..1e9 => short(value / 1e6, "M"),
        _ => format!("{value:.0e}"),
    }
}

/// Formats a number with at most four decimals, or with an exponent.
pub(super) fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(plot: &Plot, width: u16, height: u16) -> String {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        plot.draw(area, &mut buffer, &Palette::new(false));
        crate::cli::view::tests::text(&buffer)
    }

    fn line(points: &[Point], stroke: Stroke) -> Plot {
        let lines = vec![Line { points: points.to_vec(), style: Style::new(), stroke }];
        Plot { lines, x: (0.0, 3.0), x_name: "step", y: (0.0, 15.0), logarithmic: false, y_text: short }
    }

    #[test]
    fn a_line_is_where_it_belongs() {
        let rising = [(0.0, 0.0), (3.0, 15.0)];
        // Four cells stacked vertically: 16 rows of dots, of which each of the 4 columns takes
        // four.
        assert_eq!(drawn(&line(&rising, Stroke::Solid), 2, 4), " ⡸\n ⡇\n⢸\n⠎\n");
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(nice(0.0, 2.4, 5, 0.0), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(nice(1.0, 20.0, 4, 1.0), [5.0, 10.0, 15.0, 20.0]);
        assert_eq!(nice(1.0, 3.0, 8, 1.0), [1.0, 2.0, 3.0]);
        assert_eq!((nice(1.0, 1.0, 8, 1.0), nice(f64::NAN, 1.0, 8, 1.0).len()), (vec![1.0], 1));
        for range in [(1e-9, 2e-9), (-5.0, 1e12), (99.9, 100.0)] {
            let ticks = nice(range.0, range.1, 4, 0.0);
            assert!((1..=4).contains(&ticks.len()), "{range:?}: {ticks:?}");
        }
        let texts = [0.0, 460.0, 9999.0, 12_500.0, 3e6, 1e12].map(whole);
        assert_eq!(texts, ["0", "460", "9999", "12.5k", "3M", "1e12"]);
    }

    #[test]
    fn logarithmic_axes_have_ticks_at_any_range() {
        for (low, high) in [(0.01, 2.4), (0.5, 1.9), (1e-12, 1e12), (3.0, 3.9)] {
            let plot = Plot { y: (low, high), logarithmic: true, ..line(&[], Stroke::Solid) };
            assert!(plot.y_ticks(5).len() <= 5);
        }
        let plot = Plot { y: (0.01, 2.4), logarithmic: true, ..line(&[], Stroke::Solid) };
        assert_eq!(plot.y_ticks(3), [0.01, 0.1, 1.0]);
        assert_eq!(plot.y_ticks(9)[..3], [0.01, 0.02, 0.05]);
    }

    #[test]
    fn strokes_differ_without_colours() {
        let across = [(0.0, 0.0), (3.0, 0.0)];
        let [solid, dashed, dotted] =
            [Stroke::Solid, Stroke::Dashed, Stroke::Dotted].map(|s| drawn(&line(&across, s), 6, 1));
        assert!(solid != dashed && dashed != dotted && solid != dotted, "{solid}{dashed}{dotted}");
    }
}
