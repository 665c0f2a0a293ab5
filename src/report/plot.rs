//! Draws a run: loss per step above, accuracy per epoch below; to SVG text or PNG bytes.
//!
//! Lengths are pixels of the SVG, times `unit`: the PNG is drawn twice as large and averaged, which smooths its lines. The font is embedded, cut from DejaVu Sans (`assets/fonts`).
use super::series::{Point, Series, extent, smoothed, thinned};
use crate::train::metrics::Row;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use std::ops::Range;

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 900;
/// Pixels drawn for one of the PNG's, in each direction.
const FINER: u32 = 2;
const FONT: &str = "sans-serif";

// Okabe and Ito's colours, which colour-blind people tell apart.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const INK: RGBColor = RGBColor(45, 45, 45);
const FAINT: RGBColor = RGBColor(228, 228, 228);

type Area<DB> = DrawingArea<DB, Shift>;
type Failure<DB> = DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>;

/// The run as SVG text.
pub(super) fn svg(rows: &[Row], title: &str) -> Result<Vec<u8>, String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
    draw(&area, rows, title, 1)?;
    drop(area);
    Ok(text.into_bytes())
}

/// The run as a PNG file.
pub(super) fn png(rows: &[Row], title: &str) -> Result<Vec<u8>, String> {
    let (width, height) = (WIDTH * FINER, HEIGHT * FINER);
    let mut pixels = vec![255; (width * height * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
    draw(&area, rows, title, FINER)?;
    drop(area);
    let fine = image::RgbImage::from_raw(width, height, pixels).ok_or("the buffer has the picture's size")?;
    let picture = image::imageops::thumbnail(&fine, WIDTH, HEIGHT);
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Png).map_err(|error| error.to_string())?;
    Ok(file.into_inner())
}

fn draw<DB: DrawingBackend>(area: &Area<DB>, rows: &[Row], title: &str, unit: u32) -> Result<(), String> {
    let font = include_bytes!("../../assets/fonts/DejaVuSans-subset.ttf");
    register_font(FONT, FontStyle::Normal, font).map_err(|_| "the embedded font is damaged")?;
    page(area, rows, title, unit).map_err(|error| error.to_string())
}

fn page<DB: DrawingBackend>(area: &Area<DB>, rows: &[Row], title: &str, unit: u32) -> Result<(), Failure<DB>> {
    let series = Series::new(rows);
    area.fill(&WHITE)?;
    let short: String = title.chars().take(60).collect();
    let title = if short.len() < title.len() { short + "…" } else { short };
    let area = area.margin(14 * unit, 6 * unit, 0, 0).titled(&title, (FONT, 28 * unit).into_font().color(&INK))?;
    let (above, below) = area.split_vertically(area.dim_in_pixel().1 / 2);
    loss_panel(&above, &series, unit)?;
    accuracy_panel(&below, &series, unit)?;
    area.present()
}

/// One line of a panel.
struct Line<'a> {
    name: &'a str,
    points: &'a [Point],
    style: ShapeStyle,
    /// Radius of a dot at each point.
    dots: u32,
}

/// What a panel's axes show.
struct Axes<'a> {
    x_name: &'a str,
    x: Range<f64>,
    y_name: &'a str,
    y_text: fn(f64) -> String,
    legend: SeriesLabelPosition,
    /// Where the run broke, and what to call that.
    broken: Option<(u64, Range<f64>)>,
}

fn loss_panel<DB: DrawingBackend>(area: &Area<DB>, series: &Series, unit: u32) -> Result<(), Failure<DB>> {
    let (smooth, raw) = (thinned(&smoothed(&series.loss)), thinned(&series.loss));
    let Some((low, high)) = extent(raw.iter().map(|p| p.1)) else {
        let message = series.broken_from.map_or("no step yet".into(), broken);
        return notice(area, "loss", &message, unit);
    };
    let steps = raw.iter().map(|p| p.0).chain(series.broken_from.map(|step| step as f64));
    // A loss that falls by more than a factor of twenty would be a flat line on a linear axis.
    let logarithmic = low > 0.0 && high / low > 20.0;
    let y = if logarithmic {
        low / 1.2..high * 1.2
    } else {
        let rim = if high > low { 0.06 * (high - low) } else { 0.5 };
        if low >= 0.0 { (low - rim).max(0.0)..high + rim } else { low - rim..high + rim }
    };
    let axes = Axes {
        x_name: "step",
        x: around(steps),
        y_name: if logarithmic { "loss (log scale)" } else { "loss" },
        y_text: short,
        legend: SeriesLabelPosition::UpperRight,
        broken: series.broken_from.map(|step| (step, y.clone())),
    };
    let every = |colour: RGBAColor, width, dots| Line {
        name: "each step",
        points: &raw,
        style: colour.stroke_width(width),
        dots,
    };
    // Too few steps to smooth are one firm line; of the fewest each is a dot too, or a single one would not be seen.
    let lines = match raw.len() {
        0..=40 => vec![every(BLUE.mix(1.0), 2, 4)],
        41..80 => vec![every(BLUE.mix(1.0), 2, 0)],
        _ => {
            let smoothed = Line { name: "smoothed", points: &smooth, style: BLUE.stroke_width(3), dots: 0 };
            vec![every(BLUE.mix(0.4), 1, 0), smoothed]
        }
    };
    if logarithmic { panel(area, axes, y.log_scale(), &lines, unit) } else { panel(area, axes, y, &lines, unit) }
}

fn accuracy_panel<DB: DrawingBackend>(area: &Area<DB>, series: &Series, unit: u32) -> Result<(), Failure<DB>> {
    let all = || series.train.iter().chain(&series.test);
    let Some((low, high)) = extent(all().map(|p| p.1)) else {
        return notice(area, "accuracy", "none measured yet", unit);
    };
    // Nearly always up to 100 %, and down to the lowest multiple of ten.
    let bottom = (10.0 * ((low - 1.0) / 10.0).floor()).max(low.min(0.0));
    let axes = Axes {
        x_name: "epoch",
        x: around(all().map(|p| p.0)),
        y_name: "accuracy",
        y_text: |v| format!("{} %", short(v)),
        legend: SeriesLabelPosition::LowerRight,
        broken: None,
    };
    let last =
        |name: &str, points: &[Point]| points.last().map_or(name.into(), |p| format!("{name}, last {:.1} %", p.1));
    let dots = if series.test.len().max(series.train.len()) <= 60 { 4 } else { 0 };
    let lines = [
        Line { name: &last("train", &series.train), points: &series.train, style: ORANGE.stroke_width(2), dots },
        Line { name: &last("test", &series.test), points: &series.test, style: BLUE.stroke_width(3), dots },
    ];
    let lines: Vec<Line<'_>> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
    panel(area, axes, bottom..high.max(100.0) + 0.04 * (100.0 - bottom), &lines, unit)
}

fn panel<DB: DrawingBackend, Y: AsRangedCoord<Value = f64>>(
    area: &Area<DB>,
    axes: Axes<'_>,
    y: Y,
    lines: &[Line<'_>],
    unit: u32,
) -> Result<(), Failure<DB>>
where
    Y::CoordDescType: ValueFormatter<f64>,
{
    let text = |height: u32| (FONT, height * unit).into_font().color(&INK);
    let mut builder = ChartBuilder::on(area);
    builder.margin(14 * unit).margin_right(36 * unit).x_label_area_size(56 * unit).y_label_area_size(96 * unit);
    let mut chart = builder.build_cartesian_2d(axes.x, y)?;
    let y_text = |v: &f64| (axes.y_text)(*v);
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(axes.x_name).y_desc(axes.y_name).x_labels(12).y_labels(8);
    mesh.x_label_formatter(&|&v| whole(v)).y_label_formatter(&y_text);
    mesh.label_style(text(19))
        .axis_desc_style(text(21))
        .axis_style(INK.stroke_width(unit))
        .set_all_tick_mark_size(5 * unit);
    mesh.bold_line_style(FAINT.stroke_width(unit)).light_line_style(WHITE).draw()?;
    for line in lines {
        let style = ShapeStyle { stroke_width: line.style.stroke_width * unit, ..line.style };
        let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        drawn.label(line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 26 * unit as i32, y)], style));
        if line.dots > 0 {
            chart.draw_series(line.points.iter().map(|&p| Circle::new(p, line.dots * unit, style.filled())))?;
        }
    }
    if let Some((step, y)) = axes.broken {
        let points = [(step as f64, y.start), (step as f64, y.end)];
        let style = ORANGE.stroke_width(2 * unit);
        let drawn = chart.draw_series(DashedLineSeries::new(points, 8 * unit, 6 * unit, style))?;
        drawn.label(broken(step)).legend(move |(x, y)| PathElement::new([(x, y), (x + 26 * unit as i32, y)], style));
    }
    let mut legend = chart.configure_series_labels();
    legend.position(axes.legend).margin(14 * unit).legend_area_size(36 * unit);
    legend.background_style(WHITE.mix(0.9)).border_style(FAINT.stroke_width(unit)).label_font(text(19)).draw()
}

/// A panel without anything to draw.
fn notice<DB: DrawingBackend>(area: &Area<DB>, name: &str, message: &str, unit: u32) -> Result<(), Failure<DB>> {
    let (width, height) = area.dim_in_pixel();
    let centre = Pos::new(HPos::Center, VPos::Center);
    let style = (FONT, 22 * unit).into_font().color(&INK).pos(centre);
    area.draw(&Text::new(format!("{name}: {message}"), (width as i32 / 2, height as i32 / 2), style))
}

fn broken(step: u64) -> String {
    format!("not finite from step {step}")
}

/// A range that holds all places with a little room on both sides.
fn around(places: impl Iterator<Item = f64>) -> Range<f64> {
    let (first, last) = extent(places).unwrap_or((0.0, 1.0));
    let room = if last > first { 0.012 * (last - first) } else { 1.0 };
    first - room..last + room
}

/// Steps and epochs are counted: between two of them, and before the first, there is nothing to label.
fn whole(value: f64) -> String {
    match value.round() {
        near if (value - near).abs() > 1e-6 || near < 0.0 => String::new(),
        near if near > 9_999_999.0 => short(near),
        near => format!("{:.0}", near.abs()),
    }
}

/// A number with at most four digits, or with an exponent.
fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}
