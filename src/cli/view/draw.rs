//! Renders a state into cells of a terminal of any size. Pure function of the state.

use super::state::State;
use super::style::Palette;
use super::{charts, layers, plot, ranks};
use crate::cli::terminal::{duration, grouped};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// Draws everything that fits.
pub(super) fn draw(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    // A margin of one column, unless the terminal is narrow.
    let rim = u16::from(area.width >= 30);
    let area = Rect { x: area.x + rim, width: area.width - 2 * rim, ..area };
    let roomy = area.height >= 18;
    let others = ranks::height(state, area.height);
    let mut parts = facts(state, palette);
    if others == 0 {
        parts.extend(ranks::facts(state, palette));
    }
    let facts = flow(parts, 3, area.width, if area.height >= 10 { 2 } else { 1 });
    let table = layers::height(state, area.height);
    let rows = [
        u16::from(area.height >= 4),
        1,
        facts.len() as u16,
        u16::from(roomy),
        0, // the charts
        u16::from(roomy && table > 0),
        table,
        u16::from(others > 0),
        others,
        u16::from(roomy),
        u16::from(state.note.is_some() && area.height >= 9),
        u16::from(area.height >= 6),
    ];
    let constraints =
        rows.iter().enumerate().map(|(at, &rows)| if at == 4 { Constraint::Min(0) } else { Constraint::Length(rows) });
    let [header, gauge, middle, _, charts, _, table, _, others, _, note, footer] =
        Layout::vertical(constraints).areas(area);
    draw_header(state, palette, header, buffer);
    draw_gauge(state, palette, gauge, buffer);
    for (line, row) in facts.into_iter().zip(middle.rows()) {
        line.render(row, buffer);
    }
    charts::draw(state, palette, charts, buffer);
    layers::draw(state, palette, area.height, table, buffer);
    ranks::draw(state, palette, others, buffer);
    if let Some(text) = &state.note {
        styled(shorten(text, note.width), palette.warning).render(note, buffer);
    }
    draw_footer(state, layers::hidden(state, area.height) > 0, palette, footer, buffer);
}

/// Returns the text, truncated to the width with an ellipsis if needed.
pub(super) fn shorten(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if Span::raw(text).width() <= width {
        return text.to_string();
    }
    let mut short: String = text.chars().take(width).collect();
    while !short.is_empty() && Span::raw(&short).width() + 1 > width {
        short.pop();
    }
    short + "…"
}

/// Returns a line in which only the text is styled, not the rest of the row.
pub(super) fn styled(text: String, style: Style) -> Line<'static> {
    Line::from(Span::styled(text, style))
}

fn draw_header(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let folder = shorten(&state.about.folder, area.width);
    let used = Span::raw(&folder).width() as u16;
    styled(folder, palette.strong).render(area, buffer);
    let rest = area.width.saturating_sub(used + 3);
    if rest >= 12 {
        styled(shorten(&state.about.device, rest), palette.faint).right_aligned().render(area, buffer);
    }
}

fn draw_gauge(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let text = format!("{:3.0}%", (100.0 * state.done()).floor());
    let width = area.width.saturating_sub(text.len() as u16 + 1);
    if width < 4 {
        return styled(text, palette.strong).render(area, buffer);
    }
    let mut spans = bar(state.done(), width, palette.train, palette.faint).to_vec();
    spans.push(Span::styled(format!(" {text}"), palette.strong));
    Line::from(spans).render(area, buffer);
}

/// Returns a bar of which a share is full.
pub(super) fn bar(share: f64, width: u16, full: Style, empty: Style) -> [Span<'static>; 3] {
    let halves = (share.clamp(0.0, 1.0) * f64::from(2 * width)).round() as u16;
    let (whole, half) = (halves / 2, halves % 2);
    let part = |text: &str, cells: u16, style| Span::styled(text.repeat(cells.into()), style);
    [part("━", whole, full), part("╸", half, full), part("─", width - whole - half, empty)]
}

/// Returns the numbers to show, the most important first.
fn facts(state: &State, palette: &Palette) -> Vec<Vec<Span<'static>>> {
    let named = |name: &str, value: String| vec![Span::styled(format!("{name} "), palette.faint), Span::raw(value)];
    let valued = |value: String, unit: &str| vec![Span::raw(value), Span::styled(format!(" {unit}"), palette.faint)];
    let about = &state.about;
    let of = |now: u64, all: u64| format!("{} of {}", grouped(now), grouped(all));
    let mut facts = vec![
        named("epoch", of(state.epoch_under_way(), about.epochs)),
        named("step", of(state.position.step, about.steps)),
        valued(state.left().map_or("-".into(), |seconds| clock(seconds.ceil())), "left"),
        valued(clock(state.elapsed), "so far"),
    ];
    facts.extend(
        state
            .images_per_s
            .filter(|speed| speed.is_finite())
            .map(|speed| valued(grouped(speed.round() as u64), "images/s")),
    );
    facts.extend(state.step_seconds().map(|seconds| valued(time(seconds), "per step")));
    facts.extend(state.learning_rate.map(|rate| named("learning rate", plot::short(f64::from(rate)))));
    facts
}

/// Formats whole seconds.
fn clock(seconds: f64) -> String {
    duration(seconds.floor()).replace(".0 s", " s")
}

/// Formats a duration with few digits.
fn time(seconds: f64) -> String {
    let (number, unit) = match seconds {
        _ if seconds < 1e-3 => (seconds * 1e6, "µs"),
        _ if seconds < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

/// Arranges parts side by side, `between` columns apart, in at most `most` lines; parts that do not
/// fit are omitted.
pub(super) fn flow(parts: Vec<Vec<Span<'static>>>, between: usize, width: u16, most: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = vec![Line::default()];
    for part in parts {
        let gap = if lines[lines.len() - 1].spans.is_empty() { 0 } else { between };
        let wide = part.iter().map(Span::width).sum::<usize>();
        if lines[lines.len() - 1].width() + gap + wide > width.into() && gap > 0 {
            if lines.len() == most {
                break;
            }
            lines.push(Line::default());
        } else if gap > 0 {
            lines.last_mut().into_iter().for_each(|line| line.push_span(" ".repeat(gap)));
        }
        lines.last_mut().into_iter().for_each(|line| line.spans.extend(part.iter().cloned()));
    }
    lines
}

fn draw_footer(state: &State, scrolls: bool, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let key = |keys: &str, what: &str| {
        vec![Span::styled(keys.to_string(), palette.strong), Span::styled(format!(" {what}"), palette.faint)]
    };
    let mut keys = if state.stopping {
        vec![key("q, Ctrl-C", "quit now"), vec![Span::styled("stopping after the current step", palette.warning)]]
    } else {
        vec![key("q, Ctrl-C", "stop and save")]
    };
    if cfg!(unix) {
        keys.push(key("Ctrl-Z", "suspend"));
    }
    if scrolls {
        keys.push(key("↑ ↓", "layers"));
    }
    flow(keys, 3, area.width, 1).into_iter().for_each(|line| line.render(area, buffer));
}
