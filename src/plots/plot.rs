//! Draws charts as SVG text or PNG bytes.
//!
//! Lengths are pixels of the SVG multiplied by `unit`: the PNG is drawn at twice the size and
//! averaged, which smooths its lines. The font is embedded, a subset of DejaVu Sans
//! (`assets/fonts`).

mod blocks;

use super::chart::{Chart, Line, Matrix, Stack, Unit, Values};
use super::series::{smoothed, thinned};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, DefaultFormatting, KeyPointHint, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use std::ops::Range;

/// Pixels drawn per pixel of the PNG, in each direction.
const FINER: u32 = 2;
const FONT: &str = "sans-serif";

/// Okabe and Ito's colours, which are distinguishable with colour vision deficiency; `report.css`
/// contains the same for the page.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
    RGBColor(122, 72, 40),
];
const INK: RGBColor = RGBColor(45, 45, 45);
const FAINT: RGBColor = RGBColor(228, 228, 228);

type Area<DB> = DrawingArea<DB, Shift>;
type Failure<DB> = DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>;

/// A plot to draw.
#[derive(Clone, Copy)]
pub(crate) enum Plot<'a> {
    /// Two charts, one above the other, with a title.
    Curve(&'a str, &'a Chart, &'a Chart),
    Chart(&'a Chart),
    Stack(&'a Stack),
    Matrix(&'a Matrix),
}

impl Plot<'_> {
    /// Returns the name of its files.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Curve(..) => "curve",
            Self::Chart(chart) => &chart.id,
            Self::Stack(stack) => &stack.id,
            Self::Matrix(matrix) => &matrix.id,
        }
    }

    fn size(&self) -> (u32, u32) {
        match self {
            Self::Curve(..) => (1200, 900),
            Self::Chart(_) => (1200, 600),
            Self::Stack(_) => (900, 600),
            Self::Matrix(_) => (900, 900),
        }
    }

    fn title(&self) -> &str {
        match self {
            Self::Curve(title, ..) => title,
            Self::Chart(chart) => &chart.title,
            Self::Stack(stack) => &stack.title,
            Self::Matrix(matrix) => &matrix.title,
        }
    }
}

/// Returns the plot as SVG text.
pub(crate) fn svg(plot: Plot<'_>) -> Result<Vec<u8>, String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, plot.size()).into_drawing_area();
    draw(&area, plot, 1)?;
    drop(area);
    Ok(text.into_bytes())
}

/// Returns the plot as a PNG file.
pub(crate) fn png(plot: Plot<'_>) -> Result<Vec<u8>, String> {
    let (width, height) = plot.size();
    let (wide, high) = (width * FINER, height * FINER);
    let mut pixels = vec![255; (wide * high * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, (wide, high)).into_drawing_area();
    draw(&area, plot, FINER)?;
    drop(area);
    let fine = image::RgbImage::from_raw(wide, high, pixels).ok_or("the buffer has the picture's size")?;
    let picture = image::imageops::thumbnail(&fine, width, height);
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Png).map_err(|error| error.to_string())?;
    Ok(file.into_inner())
}

fn draw<DB: DrawingBackend>(area: &Area<DB>, plot: Plot<'_>, unit: u32) -> Result<(), String> {
    let font = include_bytes!("../../assets/fonts/DejaVuSans-subset.ttf");
    register_font(FONT, FontStyle::Normal, font).map_err(|_| "the embedded font is damaged")?;
    page(area, plot, unit).map_err(|error| error.to_string())
}

fn page<DB: DrawingBackend>(area: &Area<DB>, plot: Plot<'_>, unit: u32) -> Result<(), Failure<DB>> {
    area.fill(&WHITE)?;
    let title = cut(plot.title(), 60);
    let area = area.margin(14 * unit, 6 * unit, 0, 0).titled(&title, (FONT, 28 * unit).into_font().color(&INK))?;
    match plot {
        Plot::Curve(_, above, below) => {
            let (top, bottom) = area.split_vertically(area.dim_in_pixel().1 / 2);
            chart(&top, above, unit)?;
            chart(&bottom, below, unit)?;
        }
        Plot::Chart(one) => chart(&area, one, unit)?,
        Plot::Stack(stack) => blocks::stack(&area, stack, unit)?,
        Plot::Matrix(matrix) => blocks::matrix(&area, matrix, unit)?,
    }
    area.present()
}

/// Truncates text to at most `most` characters, with an ellipsis.
fn cut(text: &str, most: usize) -> String {
    let short: String = text.chars().take(most).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

fn text(height: u32, unit: u32) -> TextStyle<'static> {
    (FONT, height * unit).into_font().color(&INK)
}

fn colour(place: usize) -> RGBColor {
    PALETTE[place % PALETTE.len()]
}

fn chart<DB: DrawingBackend>(area: &Area<DB>, chart: &Chart, unit: u32) -> Result<(), Failure<DB>> {
    if chart.lines.is_empty() {
        return notice(area, &format!("{}: {}", chart.y_name, chart.notice), unit);
    }
    let (x, y) = (chart.x[0]..chart.x[1], chart.y[0]..chart.y[1]);
    match &chart.values {
        // Accuracies by value never need a logarithmic y.
        Some(values) => panel(area, chart, Positions { range: x, values: values.clone() }, y, unit),
        None if chart.log => panel(area, chart, x, y.log_scale(), unit),
        None => panel(area, chart, x, y, unit),
    }
}

/// An axis of values of a setting, which may have marks at these values.
struct Positions {
    range: Range<f64>,
    values: Values,
}

impl Ranged for Positions {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let place = |value: f64| if self.values.log { value.ln() } else { value };
        let [low, high] = [self.range.start, self.range.end].map(place);
        first + (f64::from(last - first) * (place(*value) - low) / (high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match (&self.values.ticks[..], self.values.log) {
            ([], true) => LogCoord::from(self.range.clone().log_scale()).key_points(hint),
            ([], false) => RangedCoordf64::from(self.range.clone()).key_points(hint),
            (ticks, _) => ticks.to_vec(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

fn panel<DB: DrawingBackend, X: AsRangedCoord<Value = f64>, Y: AsRangedCoord<Value = f64>>(
    area: &Area<DB>,
    chart: &Chart,
    x: X,
    y: Y,
    unit: u32,
) -> Result<(), Failure<DB>>
where
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut builder = ChartBuilder::on(area);
    builder.margin(14 * unit).margin_right(36 * unit).x_label_area_size(56 * unit).y_label_area_size(96 * unit);
    let mut context = builder.build_cartesian_2d(x, y)?;
    let y_name = if chart.log { format!("{} (log scale)", chart.y_name) } else { chart.y_name.clone() };
    let y_text = |v: &f64| if chart.unit == Unit::Percent { format!("{}%", short(*v)) } else { short(*v) };
    let mut mesh = context.configure_mesh();
    mesh.x_desc(chart.x_name.clone()).y_desc(y_name).x_labels(12).y_labels(8);
    let x_text = |v: &f64| if chart.values.is_some() { short(*v) } else { whole(*v) };
    mesh.x_label_formatter(&x_text).y_label_formatter(&y_text);
    mesh.label_style(text(19, unit))
        .axis_desc_style(text(21, unit))
        .axis_style(INK.stroke_width(unit))
        .set_all_tick_mark_size(5 * unit);
    mesh.bold_line_style(FAINT.stroke_width(unit)).light_line_style(WHITE).draw()?;
    let across = move |(x, y)| [(x, y), (x + 26 * unit as i32, y)];
    let (plain, dashed) = (
        move |style| move |at| PathElement::new(across(at), style),
        move |length, style| move |at| DashedPathElement::new(across(at), length, 6 * unit, style),
    );
    // Bands are drawn first, so that they do not cover lines.
    for line in chart.lines.iter().filter(|line| !line.band.is_empty()) {
        let band: Vec<_> = line.band.iter().map(|&(x, low, _)| (x, low)).collect();
        let band = band.into_iter().chain(line.band.iter().rev().map(|&(x, _, high)| (x, high)));
        let style = colour(line.colour).mix(0.15);
        context.draw_series(std::iter::once(Polygon::new(band.collect::<Vec<_>>(), style)))?;
    }
    for line in &chart.lines {
        let colour = colour(line.colour);
        let smooth = chart.noisy && chart.x_name == "step" && line.points.len() >= SMOOTHED_FROM;
        let points = if smooth {
            let raw = thinned(&line.points, MOST_POINTS).into_iter();
            context.draw_series(LineSeries::new(raw, colour.mix(0.4).stroke_width(unit)))?;
            thinned(&smoothed(&line.points), MOST_POINTS)
        } else {
            thinned(&line.points, MOST_POINTS)
        };
        let points = points.into_iter();
        let style = colour.stroke_width(3 * unit);
        let name = named(line, chart.unit, chart.values.is_some(), smooth);
        if line.dash == 0 {
            context.draw_series(LineSeries::new(points, style))?.label(name).legend(plain(style));
        } else {
            let length = if line.dash == 1 { 10 * unit } else { 3 * unit };
            let drawn = context.draw_series(DashedLineSeries::new(points, length, 6 * unit, style))?;
            drawn.label(name).legend(dashed(length, style));
        }
        if line.points.len() <= DOTTED {
            context.draw_series(line.points.iter().map(|&p| Circle::new(p, 4 * unit, colour.filled())))?;
        }
    }
    for broken in &chart.broken {
        let place = broken.step as f64;
        let points = [(place, chart.y[0]), (place, chart.y[1])];
        let other = usize::from(chart.lines.len() == 1);
        let style = colour(broken.run + other).stroke_width(2 * unit);
        let drawn = context.draw_series(DashedLineSeries::new(points, 8 * unit, 6 * unit, style))?;
        drawn.label(broken.text.as_str()).legend(dashed(8 * unit, style));
    }
    let mut legend = context.configure_series_labels();
    legend.position(if chart.rising { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight });
    legend.margin(14 * unit).legend_area_size(36 * unit).background_style(WHITE.mix(0.9));
    legend.border_style(FAINT.stroke_width(unit)).label_font(text(19, unit)).draw()
}

/// Number of points by step from which a line is smoothed; fewer are legible without smoothing.
const SMOOTHED_FROM: usize = 80;
/// Maximum number of points of a line in a picture: about its width in pixels.
const MOST_POINTS: usize = 1600;
/// Maximum number of points that are also drawn as dots, because a line through very few points
/// would not be visible.
const DOTTED: usize = 40;

/// Returns a line's name, with its last value for percentages by step or epoch.
fn named(line: &Line, unit: Unit, by_value: bool, smooth: bool) -> String {
    let name = cut(&line.name, 40);
    match (unit, line.points.last()) {
        (Unit::Percent, Some(last)) if !by_value => format!("{name}, last {:.1}%", last.1),
        _ if smooth => format!("{name}, smoothed"),
        _ => name,
    }
}

/// Draws a message in place of a chart without data.
fn notice<DB: DrawingBackend>(area: &Area<DB>, message: &str, unit: u32) -> Result<(), Failure<DB>> {
    let (width, height) = area.dim_in_pixel();
    let centre = Pos::new(HPos::Center, VPos::Center);
    area.draw(&Text::new(message.to_string(), (width as i32 / 2, height as i32 / 2), text(22, unit).pos(centre)))
}

/// Formats a tick of steps or epochs, which are integers: ticks between two of them, or before the
/// first, have no label.
fn whole(value: f64) -> String {
    match value.round() {
        near if (value - near).abs() > 1e-6 || near < 0.0 => String::new(),
        near if near > 9_999_999.0 => short(near),
        near => format!("{:.0}", near.abs()),
    }
}

/// Formats a number with at most four decimals, or with an exponent.
fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}
