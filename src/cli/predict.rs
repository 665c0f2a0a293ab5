//! `halfwave predict`: classifies images with a trained network.

use super::load::{self, Network, PackedOn, Trained};
use super::terminal::{percent, print, short};
use super::{AdapterArgs, DataArgs};
use halfwave::Result;
use halfwave::data::{any_image_to_input, image_to_input};
use halfwave::recipe::Recipe;
use halfwave::train::evaluate::softmax;
use std::path::PathBuf;

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
}

pub(super) fn predict(args: &PredictArgs) -> Result<()> {
    match Trained::read(&args.checkpoint)? {
        Trained::Checkpoint(saved) => {
            let Recipe { model, data, .. } = &saved.recipe;
            let normalise = saved.checkpoint.normalise(&saved.recipe)?.centred(data.set.source(), model.input);
            let names = load::class_names(&saved, &args.data)?;
            let values = normalise.images(&pixels(&args.images, &saved.recipe)?);
            let mut network = Network::open(*saved, &args.adapter)?;
            let logits = pollster::block_on(network.session.logits(&values))?;
            print(&shown(&args.images, &logits, &names))
        }
        Trained::Packed(packed) => {
            let pixels = pixels(&args.images, &packed.recipe)?;
            let logits = PackedOn::open(&packed, &args.adapter)?.logits(&packed, &pixels)?;
            print(&shown(&args.images, &logits, &packed.runner.network().classes))
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

/// Returns a line for each image with its most likely classes.
fn shown(images: &[PathBuf], logits: &[f32], names: &[String]) -> String {
    let path_len = images.iter().map(|path| path.display().to_string().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (path, logits) in images.iter().zip(logits.chunks_exact(names.len())) {
        let shares = softmax(logits);
        let mut order: Vec<_> = (0..names.len()).collect();
        order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        let likely = order.into_iter().take(SHOWN);
        let likely: Vec<_> =
            likely.map(|class| format!("{} {:>6}", short(&names[class]), percent(shares[class]))).collect();
        text += &format!("{:<path_len$}  {}\n", path.display().to_string(), likely.join("   "));
    }
    text
}
