//! `halfwave new`: writes a recipe that suits a data set.

use super::terminal::{grouped, is_capable, print, print_status};
use super::{load, number};
use halfwave::data::{Dataset, Found, Part, PictureSizes, Split, inspect};
use halfwave::files::{self, quoted};
use halfwave::recipe::{self, Data, Recipe, Set};
use halfwave::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Write a recipe for your own images: a folder of pictures, IDX or CIFAR files, or an .npz archive.
#[derive(clap::Args)]
#[command(
    after_help = "The recipe has a network of suitable size with 1-bit weights and 2-bit activations, the measured mean and standard deviation of the images, and an augmentation, batch size and length that suit their number. It is commented: change what you like.\n\nExamples:\n  halfwave new pets                  writes pets.toml for the pictures in pets/<class>/\n  halfwave new mnist --out my.toml   for the IDX files in this folder\n  halfwave new pets --size 96        scales the pictures to 96 × 96 pixels\n  halfwave new mine                  writes mine.toml, a copy of the digits recipe, to start from"
)]
pub(super) struct NewArgs {
    /// Folder or .npz file with the images; or, if there is none of that name, the name of a recipe
    /// for the embedded digits
    #[arg(value_name = "DIR|FILE|NAME")]
    source: PathBuf,
    /// Recipe to write [default: the name of the folder or file with .toml, in the current folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Side of the square that pictures are scaled to, in pixels [default: 32, or 16 for pictures of less than 24 pixels]
    #[arg(long, value_name = "PIXELS", value_parser = number::whole::<u16>(8..=512))]
    size: Option<u16>,
}

/// Number of images of which mean and standard deviation are measured.
const MEASURED: usize = 2000;

pub(super) fn new(args: &NewArgs) -> Result<()> {
    let source = &args.source;
    let name = load::name_of(source);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    files::check_new(&out)?;
    let digits = !source.exists();
    let (text, what) = if digits {
        if args.size.is_some() {
            return Err(Error::Usage(format!(
                "{}: no such folder; --size applies to folders of pictures",
                source.display()
            )));
        }
        if source.components().count() > 1 || source.extension().is_some_and(|end| end != "toml") {
            return Err(Error::Usage(format!("{}: no such folder or file; check the path", source.display())));
        }
        let text = recipe::builtin("digits").expect("it is embedded");
        (text.to_string(), format!("there is no folder {name}: this is a copy of the recipe for the embedded digits"))
    } else {
        let plan = while_reading(source, || Plan::new(source, inspect(source)?, args.size.map(usize::from)))?;
        (plan.toml(source), plan.about())
    };
    // A mistake in the text would be one of this program, but it should not reach the user.
    if let Err(error) = Recipe::parse(&text, "the recipe for it") {
        return Err(Error::Data(format!("{}: no network suits these images ({error})", source.display())));
    }
    files::replace(&out, text.as_bytes())?;
    let path = quoted(&out);
    print_status(&what);
    print(&format!("written to {}\n", out.display()))?;
    print_status(&format!("next:\n  halfwave summary {path}\n  halfwave train {path}"));
    Ok(())
}

/// Calls `work`, which reads all images of `source`. On a terminal, a line shows meanwhile that the program
/// is at work and for how long: many pictures take minutes.
fn while_reading<T>(source: &Path, work: impl FnOnce() -> T) -> T {
    let line = if is_capable() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    line.set_style(ProgressStyle::with_template("{spinner} reading {msg} ({elapsed})").expect("the template is valid"));
    line.set_message(source.display().to_string());
    line.enable_steady_tick(Duration::from_millis(100));
    let result = work();
    line.finish_and_clear();
    result
}

/// The choices for a data set.
struct Plan {
    set: Set,
    classes: Vec<String>,
    pictures: Option<PictureSizes>,
    /// Numbers of training, validation and test images.
    counts: [usize; 3],
    validation: f64,
    has_validation: bool,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Plan {
    fn new(source: &Path, found: Found, size: Option<usize>) -> Result<Self> {
        let Found { mut set, classes, pictures, has_validation } = found;
        match (&mut set, size) {
            (Set::Folder(folder), size) => {
                let shorter = folder.image[1].min(folder.image[2]);
                let side = size.unwrap_or(if shorter < 24 { 16 } else { 32 });
                (folder.image[1], folder.image[2]) = (side, side);
            }
            (_, None) => {}
            (set, Some(_)) => {
                let advice = "--size applies to folders of pictures";
                return Err(Error::Usage(format!("the images of {} are not scaled; {advice}", set.name())));
            }
        }
        if classes.len() < 2 {
            return Err(Error::Data(format!(
                "{}: there is only one class, {}; a network needs images of at least two",
                source.display(),
                classes.first().map_or("", String::as_str)
            )));
        }
        let whole = Dataset::load(&Data::from(set.clone()))?;
        let (mean, std) = measure(&whole.train)?;
        // Each class needs some images to train on and to validate with.
        let enough = whole.train.len() >= 20 * classes.len();
        let validation = if has_validation || !enough { 0.0 } else { 0.1 };
        let count = |part| whole.part(part).map_or(0, Split::len);
        let counts = [Part::Train, Part::Validation, Part::Test].map(count);
        Ok(Self { set, classes, pictures, counts, validation, has_validation, mean, std })
    }

    /// Images per step: about 1/20 of an epoch, a power of two from 8 to 128.
    fn batch(&self) -> usize {
        (self.counts[0] / 20).max(8).next_power_of_two().min(128).min(self.counts[0])
    }

    /// Epochs of about 3000 steps in total, 10 to 60.
    fn epochs(&self) -> usize {
        (3000 * self.batch() / self.counts[0].max(1)).clamp(10, 60)
    }

    /// The recipe whose network is used: one with as many pools as the images allow.
    fn network(&self) -> &'static str {
        let [_, height, width] = self.set.image();
        if height.min(width) < 24 { "digits" } else { "vgg-small-quarter" }
    }

    /// One line about what was found.
    fn about(&self) -> String {
        let [train, validation, test] = self.counts.map(|count| grouped(count as u64));
        let [channels, height, width] = self.set.image();
        let shown: Vec<_> = self.classes.iter().take(6).map(String::as_str).collect();
        let more = if self.classes.len() > shown.len() { ", …" } else { "" };
        let validation = if self.has_validation { format!(", {validation} for validation") } else { String::new() };
        let colour = if channels == 1 { "grey" } else { "in colour" };
        let pictures = match self.pictures {
            Some(PictureSizes { median: [w, h], equal: true, .. }) => {
                format!("pictures of {w} × {h} pixels, {colour}, scaled to {width} × {height}")
            }
            Some(PictureSizes { median: [w, h], .. }) => {
                format!(
                    "pictures of different sizes ({w} × {h} pixels in the middle), {colour}, scaled to {width} × {height}"
                )
            }
            None => format!("images of {width} × {height} pixels, {colour}"),
        };
        format!(
            "{}: {} classes ({}{more}); {train} images to train on{validation}, {test} to test on; {pictures}",
            self.set.name(),
            self.classes.len(),
            shown.join(", ")
        )
    }

    /// Returns the recipe as text.
    fn toml(&self, source: &Path) -> String {
        let [channels, height, width] = self.set.image();
        let classes = self.classes.len();
        let list = |values: &[f32]| values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(", ");
        let most = self.set.max_pixel();
        let mut set = self.set.clone();
        let location = set.location().map(|location| {
            let path = toml::Value::String(location.path.to_string_lossy().into_owned());
            format!("{} = {path}", location.key.name)
        });
        let why = match (self.has_validation, self.validation > 0.0) {
            (true, _) => "the set has validation images of its own",
            (false, true) => "share of the training images held out to choose the best epoch",
            (false, false) => "there are too few images to hold some out",
        };
        let (mirror, mirror_why) = match channels {
            1 => (false, "write true if left and right do not matter; in writing they do"),
            _ => (true, "flip half of the images; write false if left and right matter"),
        };
        let input_is = match self.pictures {
            Some(_) => "channels, height, width: pictures are scaled to this; more pixels take longer",
            None => "channels, height, width",
        };
        let lines: &[(String, &str)] = &[
            (format!("extends = \"{}\"", self.network()), "the network; `halfwave summary` lists its layers"),
            (String::new(), ""),
            ("[model]".into(), ""),
            (format!("input = [{channels}, {height}, {width}]"), input_is),
            (format!("classes = {classes}"), ""),
            (String::new(), ""),
            ("[[model.change]]".into(), ""),
            ("match = \"fc\"".into(), "the last layer has one output for each class"),
            (format!("units = {classes}"), ""),
            (String::new(), ""),
            ("[data]".into(), ""),
            (format!("set = \"{}\"", self.set.name()), ""),
            (location.unwrap_or_default(), ""),
            (format!("scale = [{}, 0.0]", 1.0 / f32::from(most)), "a pixel of 0 to 255 becomes 0 to 1,"),
            (format!("mean = [{}]", list(&self.mean)), "minus the mean of each channel of the training images,"),
            (format!("std = [{}]", list(&self.std)), "divided by its standard deviation"),
            ("mean_image = false".into(), ""),
            (format!("validation = {}", self.validation), why),
            (String::new(), ""),
            ("[data.augment]".into(), "random changes of the training images"),
            (format!("pad = {}", height.min(width) / 8), "shift by up to this many pixels"),
            (format!("mirror = {mirror}"), mirror_why),
            (String::new(), ""),
            ("[train]".into(), ""),
            (format!("batch = {}", self.batch()), "images per step"),
            (format!("epochs = {}", self.epochs()), "passes over the training images"),
            (String::new(), ""),
            ("[train.optimizer]".into(), ""),
            ("kind = \"adam\"".into(), ""),
            ("lr = 0.003".into(), ""),
            (String::new(), ""),
            ("[train.schedule]".into(), ""),
            ("kind = \"cosine\"".into(), "the learning rate falls to 0 over the run"),
        ];
        let column = lines.iter().filter(|(_, note)| !note.is_empty()).map(|(line, _)| line.chars().count()).max();
        let column = column.unwrap_or(0) + 2;
        let text: String = lines
            .iter()
            .map(|(line, note)| match note.is_empty() {
                true => format!("{line}\n"),
                false => format!("{line:<column$}# {note}\n"),
            })
            .collect();
        format!(
            "# Written by: halfwave new {}\n# {}.\n# The guide explains all keys; `halfwave recipe --schema` lets editors complete them.\n\n{text}",
            quoted(source),
            self.about()
        )
    }
}

/// Mean and standard deviation of each channel of training images, as shares of the largest pixel.
fn measure(train: &Split) -> Result<(Vec<f32>, Vec<f32>)> {
    let every = train.len().div_ceil(MEASURED).max(1);
    let index: Vec<u32> = (0..train.len()).step_by(every).map(|at| at as u32).collect();
    let pixels = train.read(&index)?;
    let channels = train.shape[0];
    let of_channel = |channel: usize| {
        let values = || pixels.iter().skip(channel).step_by(channels).map(|&pixel| f64::from(pixel) / 255.0);
        let count = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        // A channel without any contrast is left as it is.
        (mean as f32, if variance > 1e-6 { variance.sqrt() as f32 } else { 1.0 })
    };
    Ok((0..channels).map(of_channel).unzip())
}
