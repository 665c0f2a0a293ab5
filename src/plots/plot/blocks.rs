//! Block plots: stacked shares of codes by epoch, and the confusion matrix.

use super::{Area, FAINT, Failure, INK, Matrix, PALETTE, Stack, cut, text};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Maximum number of classes for which the matrix has names and numbers.
const NUMBERED: usize = 16;

/// Interpolates between two colours.
fn between(from: RGBColor, to: RGBColor, share: f64) -> RGBColor {
    let mix = |from: u8, to: u8| (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Returns the shade of a code: the lowest is grey, the highest the darkest.
fn shade(code: usize, levels: usize) -> RGBColor {
    match code {
        0 => RGBColor(222, 222, 222),
        _ => between(RGBColor(190, 218, 240), RGBColor(0, 70, 120), (code - 1) as f64 / (levels.max(3) - 2) as f64),
    }
}

/// Draws one column per epoch, starting with the lowest code. The ideal shares form a separate
/// column, and their boundaries are drawn as dashed lines across all columns.
pub(super) fn stack<DB: DrawingBackend>(area: &Area<DB>, stack: &Stack, unit: u32) -> Result<(), Failure<DB>> {
    let count = stack.shares.len() as f64;
    let wide = (0.06 * count).max(0.6);
    let ideal = (!stack.ideal.is_empty()).then_some((count + 0.5 * wide, count + 1.5 * wide));
    let end = ideal.map_or(count, |(_, end)| end);
    let mut builder = ChartBuilder::on(area);
    builder.margin(14 * unit).margin_right(150 * unit).x_label_area_size(56 * unit).y_label_area_size(96 * unit);
    let mut context = builder.build_cartesian_2d(0.0..end, 0.0..1.0)?;
    let label = |place: &f64| {
        let at = (place - 0.5).round();
        let epoch = ((place - 0.5 - at).abs() < 1e-6 && at >= 0.0).then(|| stack.epochs.get(at as usize)).flatten();
        epoch.map_or(String::new(), u64::to_string)
    };
    let mut mesh = context.configure_mesh();
    mesh.x_desc("epoch").y_desc("share of codes").x_labels(0).y_labels(6).x_label_formatter(&label);
    mesh.y_label_formatter(&|share| format!("{:.0}%", 100.0 * share));
    mesh.label_style(text(19, unit)).axis_desc_style(text(21, unit)).axis_style(INK.stroke_width(unit));
    mesh.bold_line_style(FAINT.stroke_width(unit)).light_line_style(WHITE).disable_x_mesh().draw()?;
    let columns = (0..).map(|at| (f64::from(at) + 0.06, f64::from(at) + 0.94)).zip(&stack.shares);
    for ((left, right), shares) in columns.chain(ideal.map(|place| (place, &stack.ideal))) {
        let mut low = 0.0;
        for (code, &share) in shares.iter().enumerate() {
            let high = low + f64::from(share);
            let block = Rectangle::new([(left, low), (right, high)], shade(code, shares.len()).filled());
            context.draw_series(std::iter::once(block))?;
            low = high;
        }
    }
    let mut limit = 0.0;
    for &share in stack.ideal.iter().take(stack.ideal.len().saturating_sub(1)) {
        limit += f64::from(share);
        let style = PALETTE[1].stroke_width(2 * unit);
        context.draw_series(DashedLineSeries::new([(0.0, limit), (end, limit)], 8 * unit, 6 * unit, style))?;
    }
    // Labels of epochs and codes are drawn separately, because the ticks of a mesh are not centred
    // on columns.
    let (right, bottom) = context.backend_coord(&(end, 0.0));
    let below = text(19, unit).pos(Pos::new(HPos::Center, VPos::Top));
    let apart = stack.epochs.len().div_ceil(12);
    let named = stack.epochs.iter().enumerate().filter(|(at, _)| at % apart == 0);
    let named = named.map(|(at, epoch)| (at as f64 + 0.5, epoch.to_string()));
    let ideal_name = ideal.map(|(left, right)| (0.5 * (left + right), "ideal".to_string()));
    let (origin_x, origin_y) = area.get_base_pixel();
    for (place, name) in named.chain(ideal_name) {
        let at = (context.backend_coord(&(place, 0.0)).0 - origin_x, bottom - origin_y + 10 * unit as i32);
        area.draw(&Text::new(name, at, below.clone()))?;
    }
    let levels = stack.shares.first().map_or(0, Vec::len);
    let side = text(17, unit).pos(Pos::new(HPos::Left, VPos::Center));
    for code in 0..levels {
        let (x, y) = (right - origin_x + 24 * unit as i32, bottom - origin_y - (26 * code as i32 + 13) * unit as i32);
        let half = 9 * unit as i32;
        area.draw(&Rectangle::new([(x, y - half), (x + 2 * half, y + half)], shade(code, levels).filled()))?;
        area.draw(&Text::new(format!("code {code}"), (x + 3 * half, y), side.clone()))?;
    }
    Ok(())
}

/// Draws a confusion matrix: rows are true classes, columns predicted classes, shades are shares of
/// a row.
pub(super) fn matrix<DB: DrawingBackend>(area: &Area<DB>, matrix: &Matrix, unit: u32) -> Result<(), Failure<DB>> {
    let (width, height) = area.dim_in_pixel();
    let classes = matrix.counts.len().max(1);
    let numbered = classes <= NUMBERED;
    let pixels = |of_unit: i32| of_unit * unit as i32;
    let (left, top) = (pixels(if numbered { 130 } else { 50 }), pixels(60));
    let side = ((width as i32 - left - pixels(30)).min(height as i32 - top - pixels(30)) / classes as i32).max(1);
    let centre = Pos::new(HPos::Center, VPos::Center);
    let (right, middle) = (Pos::new(HPos::Right, VPos::Center), left + side * classes as i32 / 2);
    area.draw(&Text::new(
        "predicted class",
        (middle, pixels(8)),
        text(21, unit).pos(Pos::new(HPos::Center, VPos::Top)),
    ))?;
    for (truth, row) in matrix.counts.iter().enumerate() {
        let images = row.iter().sum::<usize>().max(1);
        let name = matrix.classes.get(truth).map_or(String::new(), |name| cut(name, 12));
        let at = |place: usize| (2 * place as i32 + 1) * side / 2;
        if numbered {
            let short: String = name.chars().take(4).collect();
            area.draw(&Text::new(short, (left + at(truth), top - pixels(14)), text(17, unit).pos(centre)))?;
            area.draw(&Text::new(name, (left - pixels(10), top + at(truth)), text(17, unit).pos(right)))?;
        }
        for (answer, &count) in row.iter().enumerate() {
            // The square root makes single errors visible beside full rows.
            let share = (count as f64 / images as f64).sqrt();
            let full = if truth == answer { PALETTE[0] } else { PALETTE[1] };
            let (x, y) = (left + side * answer as i32, top + side * truth as i32);
            let gap = if classes <= 40 { unit as i32 } else { 0 };
            let block = [(x, y), (x + side - gap, y + side - gap)];
            area.draw(&Rectangle::new(block, between(RGBColor(244, 244, 242), full, share).filled()))?;
            if numbered && count > 0 {
                let ink = if share > 0.6 { WHITE } else { INK };
                let style = text(19, unit).pos(centre).color(&ink);
                area.draw(&Text::new(count.to_string(), (left + at(answer), top + at(truth)), style))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::plot::{Plot, png, svg};

    #[test]
    fn blocks_of_every_size_are_drawn() {
        for (epochs, levels, ideal) in [(1, 2, 2), (1, 4, 0), (120, 16, 16), (3, 1, 1)] {
            let share = 1.0 / levels as f32;
            let stack = Stack {
                id: "codes".into(),
                title: "q1".into(),
                run: 0,
                epochs: (1..=epochs).collect(),
                shares: vec![vec![share; levels]; epochs as usize],
                ideal: vec![share; ideal],
            };
            let text = String::from_utf8(svg(Plot::Stack(&stack)).unwrap()).unwrap();
            assert!(text.matches("<rect").count() > epochs as usize * levels && text.contains("code 0"));
            assert_eq!(text.contains("ideal"), ideal > 0);
            png(Plot::Stack(&stack)).unwrap();
        }
        for classes in [0, 1, 10, 100] {
            let counts =
                (0..classes).map(|at| (0..classes).map(|other| 7 * usize::from(at == other)).collect()).collect();
            let names = (0..classes).map(|class| format!("class {class}")).collect();
            let (id, title) = ("confusion".into(), "Confusion".into());
            let matrix = Matrix { id, title, run: 0, classes: names, counts, loss: 0.0 };
            let text = String::from_utf8(svg(Plot::Matrix(&matrix)).unwrap()).unwrap();
            assert!(text.matches("<rect").count() > classes * classes);
            png(Plot::Matrix(&matrix)).unwrap();
        }
    }
}
