//! `halfwave predict`: classifies images with a trained network.

use super::load::{self, Network, PackedOn, Trained};
use super::output::JsonArgs;
use super::terminal::percent;
use super::{AdapterArgs, DataArgs};
use halfwave::Result;
use halfwave::data::{any_image_to_input, image_to_input};
use halfwave::recipe::Recipe;
use halfwave::train::evaluate::softmax;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Number of classes shown for each image.
const SHOWN: usize = 3;

/// Classify images with a trained network.
#[derive(clap::Args)]
#[command(
    after_help = "Images must have the size that the network was trained on (8 × 8 pixels for the digits, white on black), unless it was trained on a folder of images: then they may have any size. Nothing is predicted unless every image can be read.\n\nExample:\n  halfwave predict runs/digits-1 seven.png nine.png"
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

pub(super) fn predict(args: &PredictArgs) -> Result<()> {
    args.json.begin();
    match Trained::read(&args.checkpoint)? {
        Trained::Checkpoint(saved) => {
            let Recipe { model, data, .. } = &saved.recipe;
            let normalise = saved.checkpoint.normalise(&saved.recipe)?.centred(data.set.source(), model.input);
            let names = load::class_names(&saved, &args.data)?;
            let values = normalise.images(&pixels(&args.images, &saved.recipe)?);
            let mut network = Network::open(*saved, &args.adapter)?;
            let logits = pollster::block_on(network.session.logits(&values))?;
            args.print(&logits, &names)
        }
        Trained::Packed(packed) => {
            let pixels = pixels(&args.images, &packed.recipe)?;
            let logits = PackedOn::open(&packed, &args.adapter)?.logits(&packed, &pixels)?;
            args.print(&logits, &packed.runner.network().classes)
        }
    }
}

/// Reads all images as bytes of the network's input size.
fn pixels(images: &[PathBuf], recipe: &Recipe) -> Result<Vec<u8>> {
    let set = &recipe.data.set;
    let read = |path: &PathBuf| match set.fit() {
        Some(_) => any_image_to_input(path, set),
        None => image_to_input(path, recipe.model.input, set.max_pixel()),
    };
    Ok(images.iter().map(read).collect::<Result<Vec<_>>>()?.concat())
}

impl PredictArgs {
    fn print(&self, logits: &[f32], names: &[String]) -> Result<()> {
        let predicted = |(image, logits): (&'_ PathBuf, &[f32])| {
            let shares = softmax(logits);
            let mut order: Vec<_> = (0..names.len()).collect();
            order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
            let probability = |class: usize| Probability { class: &names[class], probability: shares[class] };
            (image.clone(), order.into_iter().map(probability).collect::<Vec<_>>())
        };
        let predicted: Vec<_> = self.images.iter().zip(logits.chunks_exact(names.len())).map(predicted).collect();
        let predictions =
            || predicted.iter().map(|(image, classes)| Prediction { image, class: classes[0].class, classes });
        self.json.print(&predictions().collect::<Vec<_>>(), || text(predictions()))
    }
}

/// Returns a line for each image with its most likely classes.
fn text<'a>(predictions: impl Iterator<Item = Prediction<'a>> + Clone) -> String {
    let path = |prediction: &Prediction<'_>| prediction.image.display().to_string();
    let path_len = predictions.clone().map(|prediction| path(&prediction).chars().count()).max().unwrap_or(0);
    let likely = |Probability { class, probability }: &Probability<'_>| format!("{class} {:>6}", percent(*probability));
    let line = |prediction: Prediction<'_>| {
        let classes: Vec<_> = prediction.classes.iter().take(SHOWN).map(likely).collect();
        format!("{:<path_len$}  {}\n", path(&prediction), classes.join("   "))
    };
    predictions.map(line).collect()
}
