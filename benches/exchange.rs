//! A model of the time of a data-parallel training step against the number of ranks, the bandwidth between them
//! and the bits per number of a gradient; compared with measurements, and drawn up to 1 024 ranks.
//!
//! `cargo bench --bench exchange -- MEASURED.csv OUT.svg`
//!
//! The file is one of `tools/measure-ranks.sh`. With n ranks, V bytes of gradients in the chosen format, bandwidth B in
//! each direction and latency λ per message, a step takes
//!
//! T = C + 2·(1 − 1/n)·V/B + 2·(n − 1)·λ·m + R
//!
//! C: computing; each rank sends a part of V to each other one, then its sum to each (m times, in buckets); R: what a step
//! costs the host without any limit of bandwidth (copies, sockets), taken from the measurements without a limit. C + R is
//! the measured step without a limit; of the others, only the second term is predicted, with B as configured.
//!
//! The drawing is of a larger run, as stated in its title: [`LARGE`].

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::error::Error;
use std::fs;

/// An ImageNet-sized run: ResNet-18 with 11.7 million parameters, 32 images per rank and step. The time of a step's
/// computation is an assumption.
const LARGE: Large = Large { parameters: 11.7e6, images: 32.0, compute_s: 0.025, latency_s: 10e-6, buckets: 8.0 };

struct Large {
    parameters: f64,
    images: f64,
    compute_s: f64,
    latency_s: f64,
    buckets: f64,
}

/// Bits per number of the exchanges of `train.ranks.gradients`.
const FORMATS: [(&str, f64); 4] = [("f32", 32.0), ("f16", 16.125), ("int8", 8.125), ("sign", 1.125)];
/// Bandwidths of the drawing in Gbit/s.
const BANDWIDTHS: [f64; 3] = [1.0, 10.0, 100.0];

/// A line of the measurements.
#[derive(Clone, Debug)]
struct Measured {
    ranks: f64,
    /// Bytes per second; infinite without a limit.
    bandwidth: f64,
    gradients: String,
    step_ms: f64,
    /// Bytes that a rank sends per step: 2·(1 − 1/n)·V.
    bytes: f64,
}

fn read(path: &str) -> Result<Vec<Measured>, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let parse = |line: &str| -> Option<Measured> {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
        let rate = number(1)?;
        Some(Measured {
            ranks: number(0)?,
            bandwidth: if rate == 0.0 { f64::INFINITY } else { rate * 1e6 / 8.0 },
            gradients: fields.get(2)?.to_string(),
            step_ms: number(3)?,
            bytes: number(5)?,
        })
    };
    let lines: Option<Vec<_>> = text.lines().skip(1).map(parse).collect();
    lines.ok_or_else(|| format!("{path}: not a file of tools/measure-ranks.sh").into())
}

/// Milliseconds of a step that the model predicts, from the step without a limit of bandwidth.
fn predicted(all: &[Measured], one: &Measured) -> Option<f64> {
    let same = |other: &&Measured| other.ranks == one.ranks && other.gradients == one.gradients;
    let free = all.iter().filter(same).find(|other| other.bandwidth.is_infinite())?;
    Some(free.step_ms + 1e3 * one.bytes / one.bandwidth)
}

/// Images per second of the large run, divided by those of one rank.
fn speedup(ranks: f64, gbit: f64, bits: f64) -> f64 {
    let Large { parameters, compute_s, latency_s, buckets, .. } = LARGE;
    let transfer = 2.0 * (1.0 - 1.0 / ranks) * parameters * bits / (gbit * 1e9);
    let latency = 2.0 * (ranks - 1.0) * latency_s * buckets;
    ranks * compute_s / (compute_s + transfer + latency)
}

fn table(all: &[Measured]) {
    println!("| ranks | Mbit/s | gradients | bytes sent per rank and step | step, ms | model, ms | model / measured |");
    println!("|---:|---:|---|---:|---:|---:|---:|");
    for one in all {
        let model = predicted(all, one);
        let rate = if one.bandwidth.is_finite() { format!("{:.0}", one.bandwidth * 8e-6) } else { "no limit".into() };
        let ratio = |model: f64| format!("{model:.0} | {:.2}", model / one.step_ms);
        println!(
            "| {} | {rate} | {} | {:.0} | {:.0} | {} |",
            one.ranks,
            one.gradients,
            one.bytes,
            one.step_ms,
            model.filter(|_| one.bandwidth.is_finite()).map_or("- | -".into(), ratio)
        );
    }
}

const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 114, 0), RGBColor(44, 140, 60), RGBColor(190, 40, 50)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(all: &[Measured], path: &str) -> Result<(), Box<dyn Error>> {
    let font = include_bytes!("../assets/fonts/DejaVuSans-subset.ttf");
    register_font("sans-serif", FontStyle::Normal, font).map_err(|_| "the embedded font is damaged")?;
    let root = SVGBackend::new(path, (1400, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(520);
    draw_steps(all, &left)?;
    let title = format!(
        "Model: {:.1} million parameters; {} images and {:.0} ms of computing per rank and step (assumed)",
        LARGE.parameters / 1e6,
        LARGE.images,
        1e3 * LARGE.compute_s
    );
    let panels = right.titled(&title, ("sans-serif", 16))?.split_evenly((1, BANDWIDTHS.len()));
    for (panel, gbit) in panels.iter().zip(BANDWIDTHS) {
        draw_speedup(panel, gbit)?;
    }
    root.present()?;
    Ok(())
}

/// Measured against predicted steps.
fn draw_steps(all: &[Measured], area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let limited = all.iter().filter(|one| one.bandwidth.is_finite());
    let pairs: Vec<_> = limited.filter_map(|one| Some((one, predicted(all, one)?))).collect();
    let most = pairs.iter().map(|(one, model)| one.step_ms.max(*model)).fold(1.0, f64::max) * 1.1;
    let slowest = pairs.iter().map(|(one, _)| one.bandwidth).fold(f64::INFINITY, f64::min);
    let fastest = pairs.iter().map(|(one, _)| one.bandwidth).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("Time of a step: model and measurement", ("sans-serif", 16))
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..most, 0.0..most)?;
    let label = |value: &f64| format!("{value:.0}");
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc("model, ms").y_desc("measured, ms").x_label_formatter(&label).y_label_formatter(&label);
    mesh.label_style(("sans-serif", 14)).x_labels(6).y_labels(6).draw()?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (most, most)], BLACK.mix(0.4)))?;
    for ((name, _), colour) in FORMATS.iter().zip(COLOURS) {
        for (one, model) in pairs.iter().filter(|(one, _)| one.gradients == *name) {
            let style = if one.ranks > 2.0 { colour.stroke_width(2) } else { colour.filled() };
            let (x, y, half) = (*model, one.step_ms, 0.012 * most);
            match one.bandwidth == slowest {
                true => chart.draw_series([Rectangle::new([(x - half, y - half), (x + half, y + half)], style)])?,
                false => chart.draw_series([Circle::new((x, y), 5, style)])?,
            };
        }
        let entry = chart.draw_series(LineSeries::new([], colour))?.label(*name);
        entry.legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(4)));
    }
    let entry = chart.draw_series(LineSeries::new([], BLACK))?.label(format!("{:.0} Mbit/s", fastest * 8e-6));
    entry.legend(|(x, y)| Circle::new((x + 8, y), 5, BLACK.filled()));
    let entry = chart.draw_series(LineSeries::new([], BLACK))?.label(format!("{:.0} Mbit/s", slowest * 8e-6));
    entry.legend(|(x, y)| Rectangle::new([(x + 3, y - 5), (x + 13, y + 5)], BLACK.filled()));
    let entry = chart.draw_series(LineSeries::new([], BLACK))?.label("4 ranks; filled: 2");
    entry.legend(|(x, y)| Circle::new((x + 8, y), 5, BLACK.stroke_width(2)));
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).label_font(("sans-serif", 14)).background_style(WHITE.mix(0.9));
    labels.draw()?;
    Ok(())
}

/// Speed of the large run at one bandwidth.
fn draw_speedup(area: &Area<'_>, gbit: f64) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{gbit} Gbit/s"), ("sans-serif", 16))
        .margin(8)
        .margin_right(24)
        .x_label_area_size(48)
        .y_label_area_size(60)
        .build_cartesian_2d((1.0..1100.0).log_scale(), (0.05..1100.0).log_scale())?;
    let label = |value: &f64| if *value < 1.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc("ranks").x_label_formatter(&label).y_label_formatter(&label).label_style(("sans-serif", 14));
    mesh.y_desc("images per second, relative to one rank").draw()?;
    let ranks = || (0..=100).map(|at| 1024f64.powf(f64::from(at) / 100.0));
    chart.draw_series(LineSeries::new(ranks().map(|n| (n, n)), BLACK.mix(0.25)))?;
    for ((name, bits), colour) in FORMATS.iter().zip(COLOURS) {
        let style = colour.stroke_width(2);
        let drawn = chart.draw_series(LineSeries::new(ranks().map(|n| (n, speedup(n, gbit, *bits))), style))?;
        drawn.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).label_font(("sans-serif", 14)).background_style(WHITE.mix(0.9));
    labels.draw()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [measured, out] = &args[..] else {
        println!("usage: cargo bench --bench exchange -- MEASURED.csv OUT.svg (see tools/measure-ranks.sh)");
        return Ok(());
    };
    let all = read(measured)?;
    table(&all);
    println!("\nspeed-up of the large run by the model, at 1, 10 and 100 Gbit/s:");
    for ranks in [8.0, 64.0, 1024.0] {
        for (name, bits) in FORMATS {
            let speedups = BANDWIDTHS.map(|gbit| format!("{:.1}", speedup(ranks, gbit, bits)));
            println!("  {ranks:>4} ranks, {name:<4} {}", speedups.join("  "));
        }
    }
    draw(&all, out)
}
