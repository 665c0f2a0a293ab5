//! `halfwave predict`: classifies images with a trained network.

use super::load::{self, Network, PackedOn, Trained};
use super::output::JsonArgs;
use super::terminal::{percent, print_message, short};
use super::{AdapterArgs, DataArgs};
use halfwave::Result;
use halfwave::data::{Fit, InputImage, border, image_to_input};
use halfwave::recipe::Recipe;
use halfwave::train::evaluate::softmax;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Number of classes shown for each image.
const SHOWN: usize = 3;

/// Classify images with a trained network.
#[derive(clap::Args)]
#[command(
    after_help = "Images may have any size. Those for a network that was trained on a folder of images are scaled as its recipe says; for other networks, the centre of the image is scaled to the size of the training images (8 × 8 pixels for the digits, white on black). Images that cannot be read are reported and left out; the exit code is 1 then.\n\nExample:\n  halfwave predict runs/digits-1 seven.png nine.png"
)]
pub(super) struct PredictArgs {
    /// Checkpoint or packed file, or a run's folder
    #[arg(value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    /// Images to classify: PNG, JPEG, …
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// The result for an image, as `--json` prints it.
#[derive(Serialize)]
struct Prediction<'a> {
    image: &'a Path,
    /// The most likely class.
    class: &'a str,
    /// All classes with their probabilities, the most likely first.
    classes: &'a [Probability<'a>],
}

#[derive(Serialize)]
struct Probability<'a> {
    class: &'a str,
    probability: f32,
}

pub(super) fn predict(args: &PredictArgs) -> Result<ExitCode> {
    args.json.begin();
    let read = |recipe: &Recipe| Pictures::read(&args.images, recipe, &args.data);
    let pictures = match Trained::read(&args.checkpoint)? {
        Trained::Checkpoint(saved) => {
            let Recipe { model, data, .. } = &saved.recipe;
            let normalise = saved.checkpoint.normalise(&saved.recipe)?.centred(data.set.source(), model.input);
            let names = load::class_names(&saved, &args.data)?;
            let pictures = read(&saved.recipe)?;
            if pictures.paths.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
            let values = normalise.images(&pictures.pixels);
            let mut network = Network::open(*saved, &args.adapter)?;
            let logits = pollster::block_on(network.session.logits(&values))?;
            args.print(&pictures.paths, &logits, &names)?;
            pictures
        }
        Trained::Packed(packed) => {
            let pictures = read(&packed.recipe)?;
            if pictures.paths.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
            let logits = PackedOn::open(&packed, &args.adapter)?.logits(&packed, &pictures.pixels)?;
            args.print(&pictures.paths, &logits, &packed.runner.network().classes)?;
            pictures
        }
    };
    Ok(if pictures.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The pictures to classify.
struct Pictures<'a> {
    paths: Vec<&'a Path>,
    /// Bytes of the network's input size.
    pixels: Vec<u8>,
    /// Whether some could not be read.
    failed: bool,
}

impl<'a> Pictures<'a> {
    /// Reads the pictures, and says how they were changed. Those that cannot be read are reported and
    /// left out.
    fn read(paths: &'a [PathBuf], recipe: &Recipe, args: &DataArgs) -> Result<Self> {
        let set = &recipe.data.set;
        let mut read = Self { paths: Vec::new(), pixels: Vec::new(), failed: false };
        let mut scaled = Vec::new();
        for path in paths {
            match image_to_input(path, set) {
                Ok(InputImage { pixels, scaled_from }) => {
                    scaled.extend(scaled_from);
                    read.paths.push(path);
                    read.pixels.extend(pixels);
                }
                Err(error) => {
                    print_message("error", &error);
                    read.failed = true;
                }
            }
        }
        if read.paths.is_empty() {
            return Ok(read);
        }
        let [_, height, width] = set.source();
        let how = if set.fit() == Some(Fit::Stretch) { "scaled" } else { "cropped to its centre and scaled" };
        // A folder's own images are scaled in the same way.
        let like = if set.fit().is_some() { ", as the training images were" } else { "" };
        match &scaled[..] {
            [] => {}
            [[w, h]] if paths.len() == 1 => {
                let message = format_args!("the image of {w} × {h} pixels was {how} to {width} × {height}{like}");
                print_message("note", &message);
            }
            [_] => print_message("note", &format_args!("1 image was {how} to {width} × {height}{like}")),
            several => {
                let how = how.replace("its centre", "their centres");
                let message = format_args!("{} images were {how} to {width} × {height}{like}", several.len());
                print_message("note", &message);
            }
        }
        read.warn_of_inverse(recipe, args);
        Ok(read)
    }

    /// Warns about grey pictures whose background is bright where that of the training images is
    /// dark, or the reverse: a network that knows only one of them guesses.
    fn warn_of_inverse(&self, recipe: &Recipe, args: &DataArgs) {
        let set = &recipe.data.set;
        let [channels, height, width] = set.image();
        // Reading a folder of pictures takes too long.
        if channels != 1 || height < 3 || width < 3 || set.fit().is_some() {
            return;
        }
        let Some(known) = load::background(recipe, args) else { return };
        let most = f32::from(set.max_pixel());
        for (path, image) in self.paths.iter().zip(self.pixels.chunks_exact(height * width)) {
            let found = border(image, height, width) / most;
            let kind = |share: f32| if share < 0.5 { "dark" } else { "bright" };
            if (found - known).abs() > INVERSE {
                let message = format_args!(
                    "{}: its background is {}, but that of the training images is {}; invert its colours if the class is wrong",
                    path.display(),
                    kind(found),
                    kind(known)
                );
                print_message("warning", &message);
            }
        }
    }
}

/// Difference of backgrounds, as a share of the brightest pixel, above which they are inverse.
const INVERSE: f32 = 0.5;

impl PredictArgs {
    fn print(&self, paths: &[&Path], logits: &[f32], names: &[String]) -> Result<()> {
        let predicted = |(image, logits): (&&Path, &[f32])| {
            let shares = softmax(logits);
            let mut order: Vec<_> = (0..names.len()).collect();
            order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
            let probability = |class: usize| Probability { class: &names[class], probability: shares[class] };
            (image.to_path_buf(), order.into_iter().map(probability).collect::<Vec<_>>())
        };
        let predicted: Vec<_> = paths.iter().zip(logits.chunks_exact(names.len())).map(predicted).collect();
        let predictions =
            || predicted.iter().map(|(image, classes)| Prediction { image, class: classes[0].class, classes });
        self.json.print(&predictions().collect::<Vec<_>>(), || text(predictions()))
    }
}

/// Returns a line for each image with its most likely classes.
fn text<'a>(predictions: impl Iterator<Item = Prediction<'a>> + Clone) -> String {
    let path = |prediction: &Prediction<'_>| prediction.image.display().to_string();
    let path_len = predictions.clone().map(|prediction| path(&prediction).chars().count()).max().unwrap_or(0);
    let likely =
        |Probability { class, probability }: &Probability<'_>| format!("{} {:>6}", short(class), percent(*probability));
    let line = |prediction: Prediction<'_>| {
        let classes: Vec<_> = prediction.classes.iter().take(SHOWN).map(likely).collect();
        format!("{:<path_len$}  {}\n", path(&prediction), classes.join("   "))
    };
    predictions.map(line).collect()
}
