//! A state as cells of a terminal of any size. Pure.

use super::layers;
use super::plot::{self, Plot, Stroke};
use super::state::{Accuracy, State};
use super::style::Palette;
use crate::cli::terminal::{duration, grouped};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// Charts stand beside each other from this width on.
const TWO_CHARTS: u16 = 76;

/// Draws everything that there is room for.
pub(super) fn draw(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    // A rim of one column, where that is no loss.
    let rim = u16::from(area.width >= 30);
    let area = Rect { x: area.x + rim, width: area.width - 2 * rim, ..area };
    let roomy = area.height >= 18;
    let facts = flow(facts(state, palette), 3, area.width, if area.height >= 10 { 2 } else { 1 });
    let table = layers::height(state, area.height);
    let rows = [
        u16::from(area.height >= 4),
        1,
        facts.len() as u16,
        u16::from(roomy),
        0, // the charts
        u16::from(roomy && table > 0),
        table,
        u16::from(roomy),
        u16::from(state.note.is_some() && area.height >= 9),
        u16::from(area.height >= 6),
    ];
    let constraints =
        rows.iter().enumerate().map(|(at, &rows)| if at == 4 { Constraint::Min(0) } else { Constraint::Length(rows) });
    let [header, gauge, middle, _, charts, _, table, _, note, footer] = Layout::vertical(constraints).areas(area);
    draw_header(state, palette, header, buffer);
    draw_gauge(state, palette, gauge, buffer);
    for (line, row) in facts.into_iter().zip(middle.rows()) {
        line.render(row, buffer);
    }
    draw_charts(state, palette, charts, buffer);
    layers::draw(state, palette, area.height, table, buffer);
    if let Some(text) = &state.note {
        styled(shorten(text, note.width), palette.warning).render(note, buffer);
    }
    draw_footer(state, layers::hidden(state, area.height) > 0, palette, footer, buffer);
}

/// The text, or as much of its beginning as fits, with an ellipsis.
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

/// A line whose style is that of its text alone.
fn styled(text: String, style: Style) -> Line<'static> {
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
    let text = format!("{:3.0} %", (100.0 * state.done()).floor());
    let width = area.width.saturating_sub(text.len() as u16 + 1);
    if width < 4 {
        return styled(text, palette.strong).render(area, buffer);
    }
    let halves = (state.done() * f64::from(2 * width)).round() as u16;
    let (full, half) = (halves / 2, halves % 2);
    Line::from(vec![
        Span::styled("━".repeat(full.into()), palette.train),
        Span::styled("╸".repeat(half.into()), palette.train),
        Span::styled("─".repeat((width - full - half).into()), palette.faint),
        Span::styled(format!(" {text}"), palette.strong),
    ])
    .render(area, buffer);
}

/// What is known in numbers, the most important first.
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
    facts.extend(state.step_seconds().map(|seconds| valued(time(seconds), "a step")));
    facts.extend(state.learning_rate.map(|rate| named("learning rate", plot::short(f64::from(rate)))));
    facts
}

/// Whole seconds as people say them.
fn clock(seconds: f64) -> String {
    duration(seconds.floor()).replace(".0 s", " s")
}

/// A time of a few digits.
fn time(seconds: f64) -> String {
    let (number, unit) = match seconds {
        _ if seconds < 1e-3 => (seconds * 1e6, "µs"),
        _ if seconds < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

/// Puts parts side by side, so far apart, into at most `most` lines; what does not fit is left out.
fn flow(parts: Vec<Vec<Span<'static>>>, between: usize, width: u16, most: usize) -> Vec<Line<'static>> {
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

fn draw_charts(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
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

/// A chart's title with the legend of its lines above what is left of the area. What does not fit is told in fewer words, and the last ones not at all.
fn titled(
    name: &str,
    legends: &[Legend],
    more: Vec<String>,
    palette: &Palette,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let [above, below] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let of = |legend: &Legend, detail: u8| {
        let sample = if detail >= 1 { format!("{} ", legend.stroke.sample()) } else { String::new() };
        let name = if detail >= 2 { legend.name } else { legend.brief };
        vec![Span::styled(format!("{sample}{name} "), legend.style), Span::raw(legend.value.clone())]
    };
    let title = |detail: u8| {
        let name = vec![Span::styled(name.to_string(), palette.strong)];
        std::iter::once(name).chain(legends.iter().map(|legend| of(legend, detail))).collect::<Vec<_>>()
    };
    let width = |parts: &[Vec<Span<'_>>]| parts.iter().flatten().map(Span::width).sum::<usize>() + 2 * parts.len() - 2;
    let fits = |parts: &Vec<Vec<Span<'_>>>| width(parts) <= area.width.into();
    let mut parts = [2, 1].map(title).into_iter().find(fits).unwrap_or_else(|| title(0));
    parts.extend(more.into_iter().map(|text| vec![Span::styled(text, palette.faint)]));
    flow(parts, 2, area.width, 1).into_iter().for_each(|line| line.render(above, buffer));
    below
}

/// What stands where there is nothing to draw yet.
fn draw_notice(text: &str, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let row = Rect { y: area.y + area.height / 2, height: area.height.min(1), ..area };
    styled(shorten(text, area.width), palette.faint).centered().render(row, buffer);
}

/// A line of a chart in its legend.
struct Legend {
    stroke: Stroke,
    style: Style,
    name: &'static str,
    /// For where there is little room.
    brief: &'static str,
    /// The last one.
    value: String,
}

fn draw_loss(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let value = |value: f64| if value.is_finite() { format!("{value:.4}") } else { "not finite".into() };
    let others = [
        (&state.test_loss, Stroke::Solid, palette.test, "test", "test"),
        (&state.validation_loss, Stroke::Dashed, palette.validation, "validation", "val"),
    ];
    let train = state.recent_loss.map(|loss| {
        let (stroke, style, name, brief) = (Stroke::Solid, palette.train, "train", "train");
        Legend { stroke, style, name, brief, value: value(loss) }
    });
    let others_last = others.iter().filter_map(|&(curve, stroke, style, name, brief)| {
        Some(Legend { stroke, style, name, brief, value: value(curve.last()?) })
    });
    let legends: Vec<_> = train.into_iter().chain(others_last).collect();
    let inner = titled("loss", &legends, Vec::new(), palette, area, buffer);
    let curves = [&state.loss, &state.validation_loss, &state.test_loss];
    let extents = curves.iter().filter_map(|curve| curve.extent());
    let joined = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    let Some([x, (low, high)]) = extents.reduce(|a, b| [joined(a[0], b[0]), joined(a[1], b[1])]) else {
        let broken = state.loss.broken().map(|step| format!("not finite from step {step} on"));
        return draw_notice(&broken.unwrap_or("waiting for the first step".into()), palette, inner, buffer);
    };
    // A loss that falls by more than a factor of twenty would be a flat line on a linear axis.
    let logarithmic = low > 0.0 && high / low > 20.0;
    let mut lines = Vec::new();
    let line = |points, style, stroke| plot::Line { points, style, stroke };
    if state.loss.is_short() {
        lines.push(line(state.loss.raw(), palette.train, Stroke::Solid));
    } else {
        lines.push(line(state.loss.raw(), palette.faint, Stroke::Cloud));
        lines.push(line(state.loss.smooth(), palette.train, Stroke::Solid));
    }
    lines.extend(others.map(|(curve, stroke, style, ..)| line(curve.raw(), style, stroke)));
    let y = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
    Plot { lines, x, x_name: "step", y, logarithmic, y_text: plot::short }.draw(inner, buffer, palette);
}

fn draw_accuracy(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let percent = |value: f64| format!("{value:.1} %");
    let kinds: [(&Accuracy, Stroke, Style, &str, &str, Option<f64>); 3] = [
        (&state.test, Stroke::Solid, palette.test, "test", "test", state.test.last),
        (&state.validation, Stroke::Dashed, palette.validation, "validation", "val", state.validation.last),
        (&state.train, Stroke::Dotted, palette.train, "train", "train", state.train_accuracy()),
    ];
    let legends = kinds.iter().filter_map(|&(_, stroke, style, name, brief, last)| {
        Some(Legend { stroke, style, name, brief, value: percent(last?) })
    });
    let best = state.test.best.map(|(best, epoch)| format!("best {} in epoch {epoch}", percent(best)));
    let top5 = state.top5.map(|top5| format!("top-5 {}", percent(top5)));
    let more = best.into_iter().chain(top5).collect();
    let inner = titled("accuracy", &legends.collect::<Vec<_>>(), more, palette, area, buffer);
    let extents = kinds.iter().filter_map(|kind| kind.0.curve.extent());
    let joined = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    let Some([x, (low, _)]) = extents.reduce(|a, b| [joined(a[0], b[0]), joined(a[1], b[1])]) else {
        return draw_notice("the first epoch is under way", palette, inner, buffer);
    };
    let lines = kinds.map(|(accuracy, stroke, style, ..)| plot::Line { points: accuracy.curve.raw(), style, stroke });
    // Up to 100 %, and down to the lowest multiple of ten.
    let y = ((10.0 * ((low - 1.0) / 10.0).floor()).max(0.0), 100.0);
    Plot {
        lines: lines.into(),
        x,
        x_name: "epoch",
        y,
        logarithmic: false,
        y_text: |v| format!("{} %", plot::short(v)),
    }
    .draw(inner, buffer, palette);
}

fn draw_footer(state: &State, scrolls: bool, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let key = |keys: &str, what: &str| {
        vec![Span::styled(keys.to_string(), palette.strong), Span::styled(format!(" {what}"), palette.faint)]
    };
    let mut keys = if state.stopping {
        vec![
            key("q, Ctrl-C", "leave at once"),
            vec![Span::styled("stopping after the step under way", palette.warning)],
        ]
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
