//! The report: a comparison of runs as a page and as plots.

use super::layers::{self, Group};
use super::page::page;
use super::pictures::{self, Sheet};
use super::recipes::{Difference, differences};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{INPUT, Layer, LayerKind, Model};
use crate::plots::chart::{Chart, Matrix, Stack, file_name};
use crate::plots::curves::{self, Named};
use crate::plots::plot::Plot;
use crate::plots::series::{broken_from, by_epoch, epochs};
use crate::plots::write;
use crate::recipe::Length;
use crate::train::Session;
use crate::train::checkpoint::HostTensor;
use crate::train::evaluate::{Evaluation, evaluate};
use crate::train::folder::Folder;
use crate::train::inspect::Activation;
use crate::train::run::SavedRun;
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

/// Number of test images whose codes are shown, each of a different class.
const SHOWN_IMAGES: usize = 6;

/// A run in a report.
pub struct Shown {
    folder: Folder,
    saved: SavedRun,
    /// The results of its checkpoint on the test set, or the reason why they are not available.
    tested: Result<Tested, String>,
}

/// The results of a checkpoint on the test set.
pub struct Tested {
    evaluation: Evaluation,
    classes: Vec<String>,
    /// The codes of every quantiser for the first images of some classes, by layer.
    maps: Vec<(String, Sheet)>,
}

impl Tested {
    /// Evaluates a session with the checkpoint's tensors on the test set, and records the codes for
    /// a few images.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost, or if an image cannot be read.
    pub async fn new(session: &mut Session, saved: &SavedRun, data: &Dataset) -> Result<Self> {
        let recipe = &saved.recipe;
        let (classes, test, normalise) = (recipe.model.classes, &data.test, saved.checkpoint.normalise(recipe)?);
        let evaluation = evaluate(session, test, &normalise, classes).await?;
        let first = |class: usize| test.labels.iter().position(|&label| usize::from(label) == class);
        let shown: Vec<u32> = (0..classes).filter_map(first).take(SHOWN_IMAGES).map(|at| at as u32).collect();
        let mut maps = Vec::new();
        if !shown.is_empty() {
            let most = recipe.data.set.max_pixel();
            let pixels = test.centre_crops(&shown)?;
            let images = pixels.chunks_exact(pixels.len() / shown.len());
            let inputs: Vec<_> = images.map(|pixels| pictures::input(pixels, recipe.model.input, most)).collect();
            let activations: Vec<Activation> = session.inspect(&test.normalised(&shown, &normalise)?.0).await?;
            maps.extend(activations.into_iter().filter_map(|activation| {
                let sheet = pictures::feature_maps(&activation, &inputs)?;
                Some((activation.layer, sheet))
            }));
        }
        Ok(Self { evaluation, classes: data.class_names.clone(), maps })
    }
}

impl Shown {
    /// Creates a run from its folder and checkpoint, with the results on the test set, or the
    /// reason why they are not available, which the page states.
    pub fn new(folder: Folder, saved: SavedRun, tested: Result<Tested, String>) -> Self {
        Self { folder, saved, tested }
    }

    /// Returns the name and weights of the convolution over the images.
    fn first_filters(&self) -> Option<(&str, &HostTensor)> {
        let layer = image_convolution(&self.saved.recipe.model)?;
        Some((&layer.name, self.saved.checkpoint.tensors.get(&format!("{}.weight", layer.name))?))
    }
}

/// Returns the convolution that reads the images, or else the first one, which reads them through
/// other layers.
fn image_convolution(model: &Model) -> Option<&Layer> {
    let mut all = model.layers.iter().filter(|layer| matches!(layer.kind, LayerKind::Conv(_)));
    all.clone().find(|layer| layer.from.iter().any(|from| from == INPUT)).or_else(|| all.next())
}

/// A run's row in the table.
#[derive(Serialize)]
pub struct RunSummary {
    name: String,
    adapter: String,
    backend: String,
    kind: String,
    /// Number of processes that train together; 0 for a single one.
    ranks: usize,
    driver: String,
    device_class: crate::caps::DeviceClass,
    halfwave: String,
    started: String,
    state: String,
    parameters: usize,
    /// Share of the parameters that have fewer than 32 bits when the network is exported.
    low_bit: f64,
    /// Bytes of the parameters in their bits, and in f32.
    packed_bytes: u64,
    float_bytes: u64,
    multiply_adds: u64,
    /// Those computed on bits.
    bit_multiply_adds: u64,
    peak_bytes: u64,
    batch: usize,
    steps: u64,
    epochs: u64,
    /// Epoch with the best validation accuracy, of equal ones the first, and that accuracy. Without
    /// validation images there is none: the last epoch counts.
    best_epoch: Option<u64>,
    best_accuracy: Option<f32>,
    /// Accuracy on the test images when they were last evaluated during the run.
    test_accuracy: Option<f32>,
    /// Median over the epochs.
    images_per_s: Option<f64>,
    /// Total over all epochs, if recorded.
    seconds: Option<f64>,
    /// Accuracy of the checkpoint, the last state of the run, on the test set.
    tested: Option<f32>,
    untested: Option<String>,
}

impl RunSummary {
    fn new(name: &str, shown: &Shown) -> Self {
        let Shown { folder: Folder { about, rows, .. }, saved, tested } = shown;
        let position = saved.checkpoint.position;
        let early = if position.stopped { "ended early, " } else { "" };
        let length = saved.recipe.train.length;
        let complete = length.reached(position.epoch, position.step) && !position.unevaluated;
        let state = match (broken_from(rows), length) {
            (Some(step), _) => format!("diverged at step {step}"),
            _ if complete => "complete".into(),
            (None, Length::Epochs(all)) => format!("{early}epoch {} of {all}", position.epoch),
            (None, Length::Steps(all)) => format!("{early}step {} of {all}", position.step),
        };
        let best = epochs(rows).filter_map(|row| Some((row.epoch, row.validation_accuracy?)));
        let best = best.reduce(|best, next| if next.1 > best.1 { next } else { best });
        let mut speeds: Vec<_> = by_epoch(rows, |row| Some(row.images_per_s)).iter().map(|point| point.1).collect();
        speeds.sort_by(f64::total_cmp);
        let seconds: f64 = by_epoch(rows, |row| Some(row.seconds)).iter().map(|point| point.1).sum();
        let device = about.device.clone();
        let sizes = saved.recipe.model.summary().expect("the model of a checkpoint is valid");
        Self {
            name: name.into(),
            adapter: device.adapter,
            backend: device.backend,
            kind: device.kind,
            ranks: about.ranks.len(),
            driver: device.driver,
            device_class: about.device_class,
            halfwave: about.halfwave.clone(),
            started: about.started.clone(),
            state,
            parameters: about.parameters,
            low_bit: sizes.low_bit_parameters as f64 / sizes.parameters.max(1) as f64,
            packed_bytes: sizes.packed_bytes,
            float_bytes: sizes.float_bytes,
            multiply_adds: sizes.multiply_adds,
            bit_multiply_adds: sizes.bit_multiply_adds,
            peak_bytes: about.peak_bytes,
            batch: about.batch,
            steps: position.step,
            epochs: epochs(rows).count() as u64,
            best_epoch: best.map(|(epoch, _)| epoch),
            best_accuracy: best.map(|(_, accuracy)| accuracy),
            test_accuracy: epochs(rows).filter_map(|row| row.test_accuracy).next_back(),
            images_per_s: speeds.get(speeds.len() / 2).copied(),
            seconds: (seconds > 0.0).then_some(seconds),
            tested: tested.as_ref().ok().map(|tested| tested.evaluation.accuracy()),
            untested: tested.as_ref().err().cloned(),
        }
    }
}

/// An image of a run.
#[derive(Serialize)]
struct Picture {
    run: usize,
    layer: String,
    text: String,
    width: u32,
    /// The PNG file as a data URL.
    image: String,
    #[serde(skip)]
    id: String,
    #[serde(skip)]
    png: Vec<u8>,
}

impl Picture {
    fn new(what: &str, (run, name): (usize, &str), layer: &str, Sheet { image, text }: Sheet) -> Self {
        let png = pictures::png(&image);
        let id = format!("{what}-{}-{}", file_name(name), file_name(layer));
        Self { run, layer: layer.into(), text, width: image.width(), image: pictures::address(&png), id, png }
    }
}

/// The data shown by a page and by plots of some runs.
#[derive(Serialize)]
pub struct Report {
    halfwave: &'static str,
    runs: Vec<RunSummary>,
    differences: Vec<Difference>,
    learning: Vec<Chart>,
    speed: Chart,
    codes: Vec<Stack>,
    layers: Vec<Group>,
    confusion: Vec<Matrix>,
    filters: Vec<Picture>,
    maps: Vec<Picture>,
}

impl Report {
    /// Creates a report on runs, in the given order.
    pub fn new(shown: &[Shown]) -> Self {
        let names = names(shown);
        let recipes: Vec<_> = shown.iter().map(|run| &run.saved.recipe).collect();
        let rows: Vec<Named<'_>> =
            names.iter().zip(shown).map(|(name, run)| (name.as_str(), &run.folder.rows[..])).collect();
        let placed = || names.iter().map(String::as_str).enumerate().zip(shown);
        let filters = placed().filter_map(|(run, shown)| {
            let (layer, weight) = shown.first_filters()?;
            Some(Picture::new("filters", run, layer, pictures::filters(weight)?))
        });
        let tested = || placed().filter_map(|(run, shown)| Some((run, shown.tested.as_ref().ok()?)));
        let maps = tested().flat_map(|(run, tested)| {
            tested.maps.iter().map(move |(layer, sheet)| Picture::new("feature-maps", run, layer, sheet.clone()))
        });
        let confusion = tested().map(|((run, name), tested)| Matrix {
            id: format!("confusion-{}", file_name(name)),
            title: format!("Confusion matrix of the test images, {name}"),
            run,
            classes: tested.classes.clone(),
            counts: tested.evaluation.confusion.clone(),
            loss: tested.evaluation.loss,
        });
        let mut report = Self {
            halfwave: crate::version::VERSION,
            runs: names.iter().zip(shown).map(|(name, shown)| RunSummary::new(name, shown)).collect(),
            differences: differences(&recipes),
            learning: curves::learning(&rows),
            speed: curves::speed(&rows),
            codes: layers::codes(&rows),
            layers: layers::groups(&rows),
            confusion: confusion.collect(),
            filters: filters.collect(),
            maps: maps.collect(),
        };
        distinct(report.ids());
        report
    }

    /// The names of all plots and images, from which those of their files are made.
    fn ids(&mut self) -> impl Iterator<Item = &mut String> {
        let layers = self.layers.iter_mut().flat_map(|group| &mut group.charts);
        let charts = self.learning.iter_mut().chain([&mut self.speed]).chain(layers).map(|chart| &mut chart.id);
        let matrices = self.confusion.iter_mut().map(|matrix| &mut matrix.id);
        let pictures = self.filters.iter_mut().chain(&mut self.maps).map(|picture| &mut picture.id);
        charts.chain(self.codes.iter_mut().map(|stack| &mut stack.id)).chain(matrices).chain(pictures)
    }

    /// Returns the rows of the table, in order.
    pub fn runs(&self) -> &[RunSummary] {
        &self.runs
    }

    /// Returns the report as a self-contained HTML page.
    pub fn page(&self) -> String {
        let names: Vec<_> = self.runs.iter().map(|run| run.name.as_str()).collect();
        let title = format!("{} · halfwave report", names.join(", "));
        let json = serde_json::to_string(self).expect("names and numbers are JSON");
        page(include_str!("../../web/bundles/report.html"), &title, &json)
    }

    /// Writes every plot as SVG and PNG, and every image as PNG, into the folder `dir`, which is
    /// created if needed. Returns their number.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder or a file cannot be written.
    pub fn write_plots(&self, dir: &Path) -> Result<usize> {
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let charts =
            self.learning.iter().chain([&self.speed]).chain(self.layers.iter().flat_map(|group| &group.charts));
        let plots = charts.map(Plot::Chart).chain(self.codes.iter().map(Plot::Stack));
        let mut count = 0;
        for plot in plots.chain(self.confusion.iter().map(Plot::Matrix)) {
            write(plot, dir)?;
            count += 1;
        }
        for picture in self.filters.iter().chain(&self.maps) {
            files::replace(&dir.join(format!("{}.png", picture.id)), &picture.png)?;
            count += 1;
        }
        Ok(count)
    }
}

/// Makes names distinct by numbers, also where upper and lower case are the same.
fn distinct<'a>(names: impl Iterator<Item = &'a mut String>) {
    let mut taken = HashSet::new();
    for name in names {
        let numbers = (2..).map(|number| format!("{name}-{number}"));
        let mut candidates = std::iter::once(name.clone()).chain(numbers);
        let free = candidates.find(|candidate| taken.insert(candidate.to_lowercase())).expect("numbers do not end");
        *name = free;
    }
}

/// Returns the names of runs: the names of their folders, or whole paths if two are equal.
fn names(shown: &[Shown]) -> Vec<String> {
    let short = |run: &Shown| run.folder.name();
    let mut names: Vec<String> = Vec::new();
    for run in shown {
        let same = shown.iter().filter(|other| short(other) == short(run)).count();
        let name = if same > 1 { run.folder.dir.display().to_string() } else { short(run) };
        // If a folder is given twice, it counts as two runs.
        let taken = names.iter().filter(|known| **known == name).count();
        names.push(if taken > 0 { format!("{name} ({})", taken + 1) } else { name });
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conv, Relu};

    #[test]
    fn files_have_names_of_their_own() {
        let mut names = ["loss", "codes--", "codes--", "codes---2", "codes-A-b", "codes-a-b"].map(String::from);
        distinct(names.iter_mut());
        assert_eq!(names, ["loss", "codes--", "codes---2", "codes---2-2", "codes-A-b", "codes-a-b-2"]);
    }

    #[test]
    fn filters_are_those_of_the_convolution_over_the_images() {
        let conv = |name, from| Layer::new(name, from, LayerKind::Conv(Conv::default()));
        let relu = || Layer::new("relu", INPUT, LayerKind::Relu(Relu));
        let found = |layers: Vec<Layer>| {
            let model = Model { input: [1, 8, 8], classes: 10, layers };
            image_convolution(&model).map(|layer| layer.name.clone())
        };
        assert_eq!(found(vec![relu(), conv("second", "relu"), conv("first", INPUT)]).as_deref(), Some("first"));
        assert_eq!(found(vec![relu(), conv("only", "relu")]).as_deref(), Some("only"));
        assert_eq!(found(vec![relu()]), None);
    }
}
