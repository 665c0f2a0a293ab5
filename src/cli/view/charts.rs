//! The charts: loss by step and accuracy by epoch, each below a title that also serves as the
//! legend.

use super::draw::{flow, shorten, styled};
use super::plot::{self, Plot, Stroke};
use super::state::{Accuracy, State};
use super::style::Palette;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Span;
use ratatui::widgets::Widget;

/// Minimum width for charts side by side.
const TWO_CHARTS: u16 = 76;

/// Appearance and name of a curve.
#[derive(Clone, Copy)]
struct Look {
    stroke: Stroke,
    style: Style,
    name: &'static str,
    /// The name when there is little room.
    brief: &'static str,
}

fn train(palette: &Palette, stroke: Stroke) -> Look {
    Look { stroke, style: palette.train, name: "train", brief: "train" }
}

fn validation(palette: &Palette) -> Look {
    Look { stroke: Stroke::Dashed, style: palette.validation, name: "validation", brief: "val" }
}

fn test(palette: &Palette) -> Look {
    Look { stroke: Stroke::Solid, style: palette.test, name: "test", brief: "test" }
}

/// A legend entry, with the last value if there is one.
type Entry = (Look, Option<String>);

pub(super) fn draw(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    if area.height < 2 || area.width < 2 {
        return;
    }
    if area.width >= TWO_CHARTS {
        let [left, _, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(3), Constraint::Fill(1)]).areas(area);
        draw_loss(state, palette, left, buffer);
        draw_accuracy(state, palette, right, buffer);
    } else if area.height >= 16 {
        let [above, below] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
        draw_loss(state, palette, above, buffer);
        draw_accuracy(state, palette, below, buffer);
    } else {
        draw_loss(state, palette, area, buffer);
    }
}

/// Draws a chart's title with the legend, and returns the remaining area below. What does not fit
/// is shortened, or dropped from the end.
fn titled(
    name: &str,
    entries: &[Entry],
    more: Vec<String>,
    palette: &Palette,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let [above, below] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let entry = |(look, value): &Entry, detail: u8| {
        let sample = if detail >= 1 { format!("{} ", look.stroke.sample()) } else { String::new() };
        let name = if detail >= 2 { look.name } else { look.brief };
        Some(vec![Span::styled(format!("{sample}{name} "), look.style), Span::raw(value.clone()?)])
    };
    let title = |detail: u8| {
        let name = vec![Span::styled(name.to_string(), palette.strong)];
        std::iter::once(name).chain(entries.iter().filter_map(|of| entry(of, detail))).collect::<Vec<_>>()
    };
    let width = |parts: &[Vec<Span<'_>>]| parts.iter().flatten().map(Span::width).sum::<usize>() + 2 * parts.len() - 2;
    let fits = |parts: &Vec<Vec<Span<'_>>>| width(parts) <= area.width.into();
    let mut parts = [2, 1].map(title).into_iter().find(fits).unwrap_or_else(|| title(0));
    parts.extend(more.into_iter().map(|text| vec![Span::styled(text, palette.faint)]));
    flow(parts, 2, area.width, 1).into_iter().for_each(|line| line.render(above, buffer));
    below
}

/// Draws a notice in place of a chart without data.
fn draw_notice(text: &str, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let row = Rect { y: area.y + area.height / 2, height: area.height.min(1), ..area };
    styled(shorten(text, area.width), palette.faint).centered().render(row, buffer);
}

fn draw_loss(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let value = |value: f64| if value.is_finite() { format!("{value:.4}") } else { "not finite".into() };
    let others = [(test(palette), &state.test_loss), (validation(palette), &state.validation_loss)];
    let look = train(palette, Stroke::Solid);
    let mut entries = vec![(look, state.recent_loss.map(value))];
    entries.extend(others.map(|(look, curve)| (look, curve.last().map(value))));
    let inner = titled("loss", &entries, Vec::new(), palette, area, buffer);
    let curves = [&state.loss, &state.test_loss, &state.validation_loss];
    let Some([x, (low, high)]) = curves.iter().filter_map(|curve| curve.extent()).reduce(around) else {
        let broken = state.loss.broken().map(|step| format!("not finite from step {step}"));
        return draw_notice(&broken.unwrap_or("waiting for the first step".into()), palette, inner, buffer);
    };
    let line = |points, style, stroke| plot::Line { points, style, stroke };
    let mut lines = Vec::new();
    if state.loss.is_short() {
        lines.push(line(state.loss.raw(), look.style, look.stroke));
    } else {
        lines.push(line(state.loss.raw(), palette.faint, Stroke::Cloud));
        lines.push(line(state.loss.smooth(), look.style, look.stroke));
    }
    lines.extend(others.map(|(look, curve)| line(curve.raw(), look.style, look.stroke)));
    // On a linear axis, a loss that falls by more than a factor of twenty would look like a flat
    // line.
    let logarithmic = low > 0.0 && high / low > 20.0;
    let y = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
    Plot { lines, x, x_name: "step", y, logarithmic, y_text: plot::short }.draw(inner, buffer, palette);
}

/// Returns the ranges of x and y that contain both arguments.
fn around(a: [(f64, f64); 2], b: [(f64, f64); 2]) -> [(f64, f64); 2] {
    [0, 1].map(|axis: usize| (a[axis].0.min(b[axis].0), a[axis].1.max(b[axis].1)))
}

fn draw_accuracy(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let percent = |value: f64| format!("{value:.1}%");
    let kinds = [
        (test(palette), &state.test, state.test.last),
        (validation(palette), &state.validation, state.validation.last),
        (train(palette, Stroke::Dotted), &state.train, state.train_accuracy()),
    ];
    let best = state.validation.best.map(|(best, epoch)| format!("best {} in epoch {epoch}", percent(best)));
    let top5 = state.top5.map(|top5| format!("top-5 {}", percent(top5)));
    let more = best.into_iter().chain(top5).collect();
    let entries = kinds.map(|(look, _, last)| (look, last.map(percent)));
    let inner = titled("accuracy", &entries, more, palette, area, buffer);
    let extents = kinds.iter().filter_map(|(_, accuracy, _)| accuracy.curve.extent());
    let Some([x, (low, _)]) = extents.reduce(around) else {
        return draw_notice("waiting for the first epoch", palette, inner, buffer);
    };
    let line = |(look, accuracy, _): (Look, &Accuracy, Option<f64>)| plot::Line {
        points: accuracy.curve.raw(),
        style: look.style,
        stroke: look.stroke,
    };
    // From the highest multiple of ten below the lowest value to 100%.
    let y = ((10.0 * ((low - 1.0) / 10.0).floor()).max(0.0), 100.0);
    // The most important curve is drawn on top.
    let lines = kinds.into_iter().rev().map(line).collect();
    let y_text = |v: f64| format!("{}%", plot::short(v));
    Plot { lines, x, x_name: "epoch", y, logarithmic: false, y_text }.draw(inner, buffer, palette);
}
