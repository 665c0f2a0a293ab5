//! `halfwave eval`: a trained network on the test images.

use super::load::{self, Network};
use super::terminal::{complain, percent, print};
use super::{AdapterArgs, DataArgs, device};
use halfwave::Result;
use halfwave::data::Dataset;
use halfwave::train::TrainedOn;
use halfwave::train::evaluate::{Evaluation, evaluate};
use halfwave::train::run::Saved;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Measure a trained network on the test images: loss, accuracy, confusion matrix.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  halfwave eval runs/digits-1")]
pub(super) struct EvalArgs {
    /// A checkpoint, or a run's folder
    #[arg(value_name = "CHECKPOINT|RUN")]
    checkpoint: PathBuf,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn eval(args: &EvalArgs) -> Result<()> {
    let saved = Saved::read(&args.checkpoint)?;
    let (normalise, classes) = (saved.checkpoint.normalise(&saved.recipe)?, saved.recipe.model.classes);
    let data = load::dataset_of(&saved, &args.data, false)?;
    remark(&saved, &data);
    let Network { saved, mut session, device } = Network::open(saved, &args.adapter)?;
    let evaluation = pollster::block_on(evaluate(&mut session, &data.test, &normalise, classes))?;
    let (position, device) = (saved.checkpoint.position, device::Named(&device));
    print(&format!(
        "{} after {} steps, on {device}\n\ntest loss      {:.4}\ntest accuracy  {}  ({} of {})\n\n{}",
        saved.path.display(),
        position.step,
        evaluation.loss,
        percent(evaluation.accuracy()),
        evaluation.correct,
        evaluation.images,
        table(&evaluation, &data.class_names)
    ))
}

/// Says which classes have no test images, and that the network may have been trained on some of them.
fn remark(saved: &Saved, data: &Dataset) {
    let known: BTreeSet<_> = data.test.labels.iter().map(|&label| usize::from(label)).collect();
    let names = data.class_names.iter().enumerate();
    let missing: Vec<_> = names.filter(|(class, _)| !known.contains(class)).map(|(_, name)| name.as_str()).collect();
    if !missing.is_empty() {
        complain("note", &format_args!("there are no test images of {}", missing.join(", ")));
    }
    if saved.checkpoint.trained_on.as_ref().is_some_and(|facts| !facts.agrees(&TrainedOn::new(data))) {
        let note = "this is not the data set as the network was trained on it; it may have been trained on some of these test images";
        complain("note", &note);
    }
}

/// The confusion matrix: a line a class, a column a prediction; nothing where there is none.
fn table(evaluation: &Evaluation, names: &[String]) -> String {
    let name_len = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let most = evaluation.confusion.iter().flatten().max().map_or(0, |count| count.to_string().len());
    // Long names are cut in the head of the narrow columns, in full at the lines.
    let cell_len = (most + 2).max(5);
    let head: String =
        names.iter().map(|name| format!("{:>cell_len$}", name.chars().take(4).collect::<String>())).collect();
    let mut text = format!("{:<name_len$}{head}   accuracy\n", "class");
    for (class, row) in evaluation.confusion.iter().enumerate() {
        let cell = |&count: &usize| if count == 0 { "·".to_string() } else { count.to_string() };
        let cells: String = row.iter().map(|count| format!("{:>cell_len$}", cell(count))).collect();
        let images: usize = row.iter().sum();
        let accuracy = if images == 0 { "-".to_string() } else { percent(row[class] as f32 / images as f32) };
        text += &format!("{:<name_len$}{cells} {accuracy:>10}\n", names[class]);
    }
    text + "(lines: what an image shows; columns: what was predicted)\n"
}
