//! `halfwave eval`: evaluates a trained network on the test set.

use super::load::{self, Network, PackedOn, Trained};
use super::output::JsonArgs;
use super::terminal::{self, grouped, percent, print_message};
use super::{AdapterArgs, DataArgs};
use halfwave::Result;
use halfwave::data::Dataset;
use halfwave::train::TrainedOn;
use halfwave::train::evaluate::{Evaluation, evaluate};
use halfwave::train::run::SavedRun;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Evaluate a trained network on the test set: loss, accuracy, confusion matrix (for more than 32
/// classes, its most notable entries).
#[derive(clap::Args)]
#[command(after_help = "Example:\n  halfwave eval runs/digits-1")]
pub(super) struct EvalArgs {
    /// Checkpoint or packed file, or a run's folder
    #[arg(value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    network: &'a Path,
    /// Steps after which the checkpoint was written; none for a packed file.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    device: String,
    images: usize,
    loss: f64,
    accuracy: f32,
    correct: usize,
    /// Images whose class is among the five most likely.
    top5: usize,
    classes: &'a [String],
    /// `[class][predicted]`: number of images.
    confusion: &'a [Vec<usize>],
}

/// Maximum number of classes for which the full matrix is printed; more would not fit a terminal.
const MOST_COLUMNS: usize = 32;
/// Number of rows in each list that replaces the matrix.
const LISTED: usize = 10;
/// Maximum number of names given of a long list.
const NAMED: usize = 16;
/// Top-5 accuracy is reported for more classes than this.
const TOP5_FROM: usize = 10;

pub(super) fn eval(args: &EvalArgs) -> Result<()> {
    args.json.begin();
    match Trained::read(&args.checkpoint)? {
        Trained::Checkpoint(saved) => {
            let (normalise, classes) = (saved.checkpoint.normalise(&saved.recipe)?, saved.recipe.model.classes);
            let data = load::dataset_of(&saved, &args.data, false)?;
            remark(&saved, &data);
            let Network { saved, mut session, device } = Network::open(*saved, &args.adapter)?;
            let evaluation = pollster::block_on(evaluate(&mut session, &data.test, &normalise, classes))?;
            let steps = Some(saved.checkpoint.position.step);
            args.print(&saved.path, steps, device.to_string(), &evaluation, &data.class_names)
        }
        Trained::Packed(packed) => {
            let data = load::dataset_of_packed(&packed, &args.data)?;
            without_images(&data);
            let mut on = PackedOn::open(&packed, &args.adapter)?;
            let evaluation = packed.evaluate(&data.test, |pixels| on.logits(&packed, pixels))?;
            args.print(&packed.path, None, on.to_string(), &evaluation, &data.class_names)
        }
    }
}

impl EvalArgs {
    fn print(
        &self,
        network: &Path,
        steps: Option<u64>,
        device: String,
        evaluation: &Evaluation,
        classes: &[String],
    ) -> Result<()> {
        let Evaluation { loss, correct, top5, images, confusion } = evaluation;
        let text = || {
            let state =
                steps.map_or(", packed,".to_string(), |steps| format!(" after {}", terminal::steps(steps) + ","));
            format!("{}{state} on {device}\n\n{}", network.display(), results(evaluation, classes))
        };
        let output = Output {
            network,
            steps,
            device: device.clone(),
            images: *images,
            loss: *loss,
            accuracy: evaluation.accuracy(),
            correct: *correct,
            top5: *top5,
            classes,
            confusion,
        };
        self.json.print(&output, text)
    }
}

/// Returns loss, accuracy and confusion matrix as text.
fn results(evaluation: &Evaluation, names: &[String]) -> String {
    // With few classes, the best five are most of them.
    let top5 = evaluation.top5_accuracy().filter(|_| names.len() > TOP5_FROM);
    let top5 = top5.map_or(String::new(), |share| {
        format!("top-5 accuracy {}  ({} of {})\n", percent(share), evaluation.top5, evaluation.images)
    });
    format!(
        "test loss      {}\ntest accuracy  {}  ({} of {})\n{top5}\n{}",
        terminal::loss(evaluation.loss),
        percent(evaluation.accuracy()),
        evaluation.correct,
        evaluation.images,
        table(evaluation, names)
    )
}

/// Notes which classes have no test images, and whether the network may have been trained on some
/// of the test images.
fn remark(saved: &SavedRun, data: &Dataset) {
    without_images(data);
    if saved.checkpoint.trained_on.as_ref().is_some_and(|facts| !facts.agrees(&TrainedOn::new(data))) {
        let note = "this data set differs from the one the network was trained on; some of these test images may have been used for training";
        print_message("note", &note);
    }
}

/// Notes which classes have no test images.
fn without_images(data: &Dataset) {
    let known: BTreeSet<_> = data.test.labels.iter().map(|&label| usize::from(label)).collect();
    let names = data.class_names.iter().enumerate();
    let missing: Vec<_> = names.filter(|(class, _)| !known.contains(class)).map(|(_, name)| name.as_str()).collect();
    if !missing.is_empty() {
        print_message("note", &format_args!("there are no test images of {}", listed(&missing)));
    }
}

/// Returns the confusion matrix, or its most notable entries if there are too many classes.
fn table(evaluation: &Evaluation, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| terminal::short(name)).collect();
    if names.len() <= MOST_COLUMNS { matrix(evaluation, &names) } else { highlights(evaluation, &names) }
}

/// Returns the full matrix: one row per class, one column per prediction.
fn matrix(evaluation: &Evaluation, names: &[String]) -> String {
    let name_len = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let most = evaluation.confusion.iter().flatten().max().map_or(0, |count| count.to_string().len());
    // The narrow column headings have the beginnings of the names in the rows.
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
    text + "(rows: true class; columns: predicted class)\n"
}

/// Returns the classes with the lowest accuracy, and the pairs confused most often. Ties keep their
/// order.
fn highlights(evaluation: &Evaluation, names: &[String]) -> String {
    let rows = || evaluation.confusion.iter().enumerate();
    let mut classes: Vec<_> = rows()
        .map(|(class, row)| (class, row[class], row.iter().sum::<usize>()))
        .filter(|(.., images)| *images > 0)
        .collect();
    classes.sort_by(|a, b| (a.1 * b.2).cmp(&(b.1 * a.2)));
    let mut pairs: Vec<_> = rows()
        .flat_map(|(class, row)| row.iter().enumerate().map(move |(predicted, &count)| (class, predicted, count)))
        .filter(|(class, predicted, count)| class != predicted && *count > 0)
        .collect();
    pairs.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    let mut worst = "class\taccuracy\tof\n".to_string();
    for &(class, correct, images) in classes.iter().take(LISTED) {
        let accuracy = percent(correct as f32 / images as f32);
        worst += &format!("{}\t{accuracy}\t{}\n", names[class], grouped(images as u64));
    }
    let mut text = format!("lowest accuracy, of {} classes:\n{}", names.len(), terminal::table("lrr", &worst));
    if !pairs.is_empty() {
        let mut confused = "true class\tpredicted class\timages\n".to_string();
        for &(class, predicted, count) in pairs.iter().take(LISTED) {
            confused += &format!("{}\t{}\t{}\n", names[class], names[predicted], grouped(count as u64));
        }
        text += &format!("\nconfused most often:\n{}", terminal::table("llr", &confused));
    }
    text
}

/// Joins names into a list, truncated if it is long.
fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names[..names.len() - more].join(", ");
    if more == 0 { first } else { format!("{first} and {} more", grouped(more as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(classes: usize) -> Evaluation {
        // In class n, n of 50 images are predicted as the next class; the first class has no
        // images.
        let row = |class: usize| {
            let mut row = vec![0; classes];
            if class > 0 {
                (row[class], row[(class + 1) % classes]) = (50 - class, class);
            }
            row
        };
        Evaluation { loss: 1.0, correct: 0, top5: 30, images: 60, confusion: (0..classes).map(row).collect() }
    }

    fn names(classes: usize) -> Vec<String> {
        (0..classes).map(|class| format!("c{class}")).collect()
    }

    #[test]
    fn many_classes_have_highlights_in_place_of_a_matrix() {
        let few = table(&evaluation(32), &names(32));
        assert!(few.lines().count() == 34 && few.contains("(rows: true class; columns: predicted class)"), "{few}");
        let many = table(&evaluation(40), &names(40));
        let lines: Vec<_> = many.lines().collect();
        assert_eq!(lines.len(), 12 + 1 + 12, "{many}");
        assert_eq!(lines[0], "lowest accuracy, of 40 classes:");
        let cells = |at: usize| lines[at].split_whitespace().collect::<Vec<_>>();
        assert_eq!((cells(2), cells(15)), (vec!["c39", "22.0%", "50"], vec!["c39", "c0", "39"]));
    }

    #[test]
    fn long_lists_are_cut() {
        let names = names(3000);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(listed(&names[..2]), "c0, c1");
        let text = listed(&names);
        assert!(text.starts_with("c0, c1, ") && text.ends_with("c15 and 2,984 more"), "{text}");
    }
}
