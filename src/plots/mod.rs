//! Plots of training as SVG and PNG: curves of one run or several, drawn from the rows of
//! `metrics.jsonl`.
//!
//! **Invariant:** plots depend only on the rows: the same rows give the same image. Files are
//! written atomically.
pub(crate) mod bands;
pub(crate) mod chart;
pub(crate) mod curves;
pub(crate) mod plot;
pub(crate) mod series;

pub use bands::{ByValue, Means};

use crate::files::replace;
use crate::metrics::Row;
use crate::{Error, Result};
use plot::Plot;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Draws `rows` as `curve.svg` and `curve.png` in the folder `dir`: loss per step and accuracy per
/// epoch, with `title`.
///
/// There may be few rows or none; values that are not finite are omitted, with a notice. No system
/// font is needed.
///
/// # Errors
///
/// Returns an error if the folder or a file cannot be written.
pub fn curve(rows: &[Row], title: &str, dir: &Path) -> Result<()> {
    let run = [("loss", rows)];
    write(Plot::Curve(title, &curves::loss(&run), &curves::accuracy(&run)), dir)
}

/// Draws the accuracies of several networks by epoch, in per cent, with the name `y_name`, as `accuracy.svg` and
/// `accuracy.png` in the folder `dir`: the mean over the runs of each, with a band of one standard
/// deviation.
///
/// # Errors
///
/// Returns an error if the folder or a file cannot be written.
pub fn accuracies(title: &str, y_name: &str, curves: &[(String, Means)], dir: &Path) -> Result<()> {
    write(Plot::Chart(&bands::accuracy(title, y_name, curves)), dir)
}

/// Draws accuracies by the value of the setting `key`, in per cent, with the name `y_name`, as `by-value.svg` and
/// `by-value.png` in the folder `dir`.
///
/// # Errors
///
/// Returns an error if the folder or a file cannot be written.
pub fn by_value(title: &str, y_name: &str, key: &str, lines: &[ByValue], dir: &Path) -> Result<()> {
    write(Plot::Chart(&bands::by_value(title, y_name, key, lines)), dir)
}

/// Removes what [`by_value`] has written into a folder.
///
/// # Errors
///
/// Returns an error if a file cannot be removed.
pub fn remove_by_value(dir: &Path) -> Result<()> {
    ["svg", "png"].iter().try_for_each(|extension| {
        let path = file(dir, bands::BY_VALUE, extension);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path)(error)),
            _ => Ok(()),
        }
    })
}

/// Returns the path of a plot in a folder.
fn file(dir: &Path, id: &str, extension: &str) -> PathBuf {
    dir.join(format!("{id}.{extension}"))
}

/// Writes a plot as SVG and PNG into a folder.
pub(crate) fn write(plot: Plot<'_>, dir: &Path) -> Result<()> {
    for (extension, draw) in [("svg", plot::svg as fn(Plot<'_>) -> _), ("png", plot::png)] {
        let path = file(dir, plot.id(), extension);
        let drawn: Result<Vec<u8>, String> = draw(plot);
        let failed = |message| Error::io(&path)(std::io::Error::other(format!("it cannot be drawn: {message}")));
        replace(&path, &drawn.map_err(failed)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{EpochRow, StepRow};

    fn step(step: u64, loss: f32) -> Row {
        Row::Step(StepRow { step, epoch: step / 23, loss, lr: 0.05, fault: None })
    }

    fn epoch(epoch: u64, train: f32, test: f32) -> Row {
        let (train_accuracy, test_accuracy) = (Some(train), Some(test));
        Row::Epoch(EpochRow { epoch, train_accuracy, test_accuracy, images_per_s: 1234.5, ..Default::default() })
    }

    /// Returns a run of 20 epochs: noisy, falling loss; rising accuracy.
    fn run() -> Vec<Row> {
        let noise = crate::random::normal(0, "noise", 460);
        let loss = |s: usize| (2.4 * (-(s as f32) / 60.0).exp() + 0.01) * (1.0 + 0.25 * noise[s]).max(0.2);
        let mut rows: Vec<Row> = (0..460).map(|s| step(s as u64 + 1, loss(s))).collect();
        let accuracy = |e: u64, low: f32| 1.0 - low * (-(e as f32) / 3.0).exp() - low / 20.0;
        rows.extend((1..=20).map(|e| epoch(e, accuracy(e, 0.15), accuracy(e, 0.3) + 0.01 * noise[e as usize])));
        rows
    }

    /// Returns the curve as SVG.
    fn svg(rows: &[Row]) -> String {
        let run = [("loss", rows)];
        let (loss, accuracy) = (curves::loss(&run), curves::accuracy(&run));
        String::from_utf8(plot::svg(Plot::Curve("x", &loss, &accuracy)).unwrap()).unwrap()
    }

    /// Returns the share of pixels that are not white.
    fn ink(png: &[u8]) -> f64 {
        let picture = image::load_from_memory(png).expect("a picture").into_luma8();
        picture.pixels().filter(|p| p.0[0] < 200).count() as f64 / f64::from(picture.width() * picture.height())
    }

    #[test]
    fn a_run_is_drawn_in_both_formats() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        curve(&run(), "digits", dir).unwrap();
        let svg = std::fs::read_to_string(dir.join("curve.svg")).unwrap();
        for word in ["<svg", "digits", "loss", "epoch", "test", "train", "</svg>"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(svg.len() < 400_000);
        let png = std::fs::read(dir.join("curve.png")).unwrap();
        assert!(ink(&png) > 0.01);
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 2, "nothing but the two pictures is left");
        curve(&run(), "digits", dir).unwrap();
        assert_eq!(png, std::fs::read(dir.join("curve.png")).unwrap(), "the same rows give the same picture");
    }

    #[test]
    fn odd_runs_are_drawn_too() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let odd: Vec<(&str, Vec<Row>)> = vec![
            ("nothing", vec![]),
            ("one step", vec![step(1, 2.3)]),
            ("one epoch", vec![step(1, 2.3), epoch(1, 0.5, 0.4)]),
            ("one epoch alone", vec![epoch(0, 1.0, 1.0)]),
            ("equal losses", (1..9).map(|s| step(s, 1.5)).collect()),
            ("zeros", (1..9).map(|s| step(s, 0.0)).collect()),
            ("negative", (1..9).map(|s| step(s, -1.0)).collect()),
            ("only NaN", vec![step(1, nan), step(2, inf), epoch(1, nan, nan)]),
            (
                "diverged",
                (1..60)
                    .map(|s| step(s, if s < 40 { 2.3 / s as f32 } else { nan }))
                    .chain([epoch(1, 0.1, inf)])
                    .collect(),
            ),
            ("extremes", vec![step(1, f32::MAX), step(2, f32::MIN), step(3, f32::MIN_POSITIVE), step(u64::MAX, 1.0)]),
            ("out of range", vec![epoch(1, 7.0, -3.0), epoch(u64::MAX, 0.5, 0.5)]),
            (
                "a long title, which does not fit on one line of the picture, however wide that may be, since it goes on",
                run(),
            ),
        ];
        for (name, rows) in odd {
            let run = [("loss", &rows[..])];
            let (loss, accuracy) = (curves::loss(&run), curves::accuracy(&run));
            let plot = Plot::Curve(name, &loss, &accuracy);
            let png = plot::png(plot).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(ink(&png) > 0.001, "{name}");
            plot::svg(plot).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(svg(&[step(1, 2.0), step(2, nan)]).contains("not finite from step 2"));
    }

    #[test]
    fn long_runs_stay_small() {
        let rows: Vec<Row> = (0..200_000).map(|s| step(s, 1.0 + (s % 7) as f32)).collect();
        assert!(svg(&rows).len() < 400_000);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let message = curve(&run(), "digits", &dir.path().join("none")).unwrap_err().to_string();
        assert!(message.contains("curve.svg"), "{message}");
    }
}
