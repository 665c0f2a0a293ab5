//! `halfwave predict`: classifies images with a trained network.

use super::load::{self, Network};
use super::terminal::{percent, print};
use super::{AdapterArgs, DataArgs};
use halfwave::Result;
use halfwave::data::{any_image_to_input, image_to_input};
use halfwave::train::evaluate::softmax;
use halfwave::train::run::Saved;
use std::path::PathBuf;

/// Number of classes shown for each image.
const SHOWN: usize = 3;

/// Classify images with a trained network.
#[derive(clap::Args)]
#[command(
    after_help = "Images must have the size that the network was trained on (8 × 8 pixels for the digits, white on black), unless it was trained on a folder of images: then they may have any size. Nothing is predicted unless every image can be read.\n\nExample:\n  halfwave predict runs/digits-1 seven.png nine.png"
)]
pub(super) struct PredictArgs {
    /// Checkpoint file, or a run's folder
    #[arg(value_name = "CHECKPOINT|RUN")]
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
    let saved = Saved::read(&args.checkpoint)?;
    let model = &saved.recipe.model;
    let (set, classes) = (saved.recipe.data.set.clone(), model.classes);
    let normalise = saved.checkpoint.normalise(&saved.recipe)?.centred(set.source(), model.input);
    let names = load::class_names(&saved, &args.data)?;
    let mut values = Vec::new();
    for path in &args.images {
        let pixels = match set.fit() {
            Some(_) => any_image_to_input(path, &set)?,
            None => image_to_input(path, model.input, set.max_pixel())?,
        };
        values.extend(normalise.images(&pixels));
    }
    let mut network = Network::open(saved, &args.adapter)?;
    let logits = pollster::block_on(network.session.logits(&values))?;
    let path_len = args.images.iter().map(|path| path.display().to_string().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (path, logits) in args.images.iter().zip(logits.chunks_exact(classes)) {
        let shares = softmax(logits);
        let mut order: Vec<_> = (0..classes).collect();
        order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        let shown = order.into_iter().take(SHOWN);
        let shown: Vec<_> = shown.map(|class| format!("{} {:>6}", names[class], percent(shares[class]))).collect();
        text += &format!("{:<path_len$}  {}\n", path.display().to_string(), shown.join("   "));
    }
    print(&text)
}
