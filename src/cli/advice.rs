//! Advice for a run that does not learn: first non-finite values, then the inputs of each
//! quantiser, then causes that cannot be detected from here.

use super::terminal::percent;
use halfwave::model::{LayerKind, Model};
use halfwave::ops::curve::Reads;
use halfwave::recipe::Recipe;
use halfwave::train::metrics::{EpochRow, LayerRow};

/// An accuracy up to this multiple of the chance level counts as chance.
const CHANCE: f32 = 1.3;

/// No advice is given before this many steps, or this many images of each class.
const STEPS: u64 = 20;
const IMAGES: u64 = 50;

/// A layer is stuck when at least this share of its codes are equal.
const STUCK: f32 = 0.99;

/// Returns lines of advice after an epoch whose accuracy is no better than chance, or `None`
/// otherwise.
///
/// `loss` is the loss of the last step.
pub(super) fn at_chance(row: &EpochRow, loss: f32, recipe: &Recipe) -> Option<Vec<String>> {
    let accuracy = row.train_accuracy?;
    let (model, classes) = (&recipe.model, recipe.model.classes);
    // A few steps on a few images are not conclusive.
    let few = row.step < STEPS || row.step * (recipe.train.batch as u64) < IMAGES * classes as u64;
    let guessed = 1.0 / classes as f32;
    if classes < 2 || few || accuracy > (CHANCE * guessed).min(guessed + 0.1) {
        return None;
    }
    let mut lines = vec![format!(
        "after epoch {} the accuracy is at chance: {} of {classes} classes. What to check:",
        row.epoch,
        percent(accuracy)
    )];
    let lr = recipe.train.optimizer.lr;
    if let Some(what) = not_finite(row, loss) {
        // Any other symptom would follow from this one.
        lines.push(format!(
            "- {what} is not a finite number: try a tenth of the learning rate, train.optimizer.lr = {lr:?}"
        ));
        return Some(lines);
    }
    lines.extend(model.layers.iter().enumerate().flat_map(|(index, layer)| {
        row.layers.get(&layer.name).into_iter().flat_map(move |seen| of_layer(model, index, seen))
    }));
    lines.extend(end(model));
    lines.push(format!("- the learning rate, train.optimizer.lr = {lr:?}: try a tenth of it, and ten times as much"));
    lines.push("- the labels: do the classes' folders or label files belong to these images?".to_string());
    lines.push(
        "- data.scale, mean and std: inputs should have a mean near 0 and a standard deviation near 1".to_string(),
    );
    Some(lines)
}

/// Returns a description of the first value that is not finite.
fn not_finite(row: &EpochRow, loss: f32) -> Option<String> {
    if !loss.is_finite() {
        return Some("the loss".to_string());
    }
    let broken = |layer: &LayerRow| {
        let alpha = layer.alpha.iter().flat_map(|alpha| [alpha.min, alpha.mean, alpha.max]);
        !layer.codes.iter().copied().chain(layer.passed).chain(alpha).all(f32::is_finite)
    };
    let (name, _) = row.layers.iter().find(|(_, layer)| broken(layer))?;
    Some(format!("a value of layer \"{name}\""))
}

/// Returns what is wrong with a quantiser, and the probable cause.
fn of_layer(model: &Model, index: usize, seen: &LayerRow) -> Vec<String> {
    let (name, mut lines) = (&model.layers[index].name, Vec::new());
    let most = seen.codes.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((code, share)) = most.filter(|(_, share)| *share >= STUCK) {
        let (share, cause) = (percent(share), cause(model, index, code));
        lines.push(format!("- layer \"{name}\" outputs code {code} for {share} of its inputs: {cause}"));
    }
    if let Some(passed) = seen.passed.filter(|passed| *passed <= 1.0 - STUCK) {
        let passed = percent(passed);
        lines.push(format!("- its surrogate passes only {passed} of the gradients of layer \"{name}\""));
    }
    lines
}

/// The inputs of a quantiser, traced back to the last convolution or linear layer.
#[derive(Default)]
struct Path<'a> {
    /// The nearest preceding layer whose outputs are never negative.
    not_negative: Option<&'a str>,
    /// The preceding batch-norm, and whether it has γ and β.
    norm: Option<(&'a str, bool)>,
    /// Whether it reads the images without a trained layer in between.
    images: bool,
}

fn path(model: &Model, index: usize) -> Path<'_> {
    let (mut path, mut at) = (Path::default(), index);
    while path.norm.is_none()
        && let Ok(sources) = model.reads(at)
        && let [source] = sources[..]
    {
        let Some(source) = source else {
            path.images = true;
            break;
        };
        let layer = &model.layers[source];
        match &layer.kind {
            LayerKind::Conv(_) | LayerKind::Linear(_) => break,
            LayerKind::BatchNorm(norm) => path.norm = Some((&layer.name, norm.affine)),
            kind if gives_no_negative(kind) => path.not_negative = path.not_negative.or(Some(&layer.name)),
            _ => {}
        }
        at = source;
    }
    path
}

/// Returns the probable cause of a quantiser that outputs only one code, and a remedy.
fn cause(model: &Model, index: usize, code: usize) -> String {
    let path = path(model, index);
    let kind = &model.layers[index].kind;
    match (kind, path.not_negative, path.norm) {
        (LayerKind::Sign(_), Some(before), Some((norm, _))) if code == 1 => format!(
            "\"{before}\" before it has no negative outputs, which sign maps to +1 only; remove \"{before}\", so that it reads the batch_norm \"{norm}\""
        ),
        (LayerKind::Sign(_), Some(before), None) if code == 1 => format!(
            "\"{before}\" before it has no negative outputs, which sign maps to +1 only; put a batch_norm in its place"
        ),
        (_, _, Some((norm, true))) => format!(
            "the shift or the scale of the batch_norm \"{norm}\" before it has diverged; try a smaller learning rate, or affine = false"
        ),
        (_, _, Some((norm, false))) => {
            format!("the inputs of the batch_norm \"{norm}\" before it may all be equal; check the layers before that")
        }
        _ if path.images => {
            "it reads the images: choose data.mean and data.std (or scale) so that they are centred on 0".to_string()
        }
        _ => "put a batch_norm before it".to_string(),
    }
}

/// Returns whether a layer's outputs are never negative, whatever its inputs.
fn gives_no_negative(kind: &LayerKind) -> bool {
    match kind {
        LayerKind::Relu(_) => true,
        // A function whose derivative follows from its output rises from its lowest value.
        LayerKind::Activation(curve) => curve.row().reads == Reads::Output && curve.at(f32::MIN) >= 0.0,
        LayerKind::Sign(_) => false,
        other => other.makes_codes(),
    }
}

/// Returns what is wrong with the last layer: scores that cannot be negative, or that take only a
/// few values.
fn end(model: &Model) -> Option<String> {
    let last = model.layers.last()?;
    let bad = gives_no_negative(&last.kind) || last.kind.makes_codes();
    let (name, kind) = (&last.name, last.kind.name());
    bad.then(|| format!("- the network ends in \"{name}\" ({kind}), which restricts the class scores: remove it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfwave::train::metrics::Spread;
    use std::collections::BTreeMap;

    /// Returns the digits recipe with `between` inserted between a convolution and a quantiser
    /// named "q". Each entry is a layer kind, followed by a semicolon and further keys if needed.
    fn recipe(between: &[&str], quantiser: &str) -> Recipe {
        let mut text = "[model]\ninput = [1, 8, 8]\nclasses = 10\n".to_string();
        let (first, last) = (["conv;filters = 4\nkernel = 3"], [quantiser, "linear;units = 10"]);
        let layers = first.iter().chain(between).chain(&last).enumerate();
        for (at, layer) in layers {
            let (kind, keys) = layer.split_once(';').unwrap_or((layer, ""));
            let name = if *layer == quantiser { "q".to_string() } else { format!("l{at}") };
            text += &format!("[[model.layers]]\nname = \"{name}\"\nkind = \"{kind}\"\n{keys}\n");
        }
        text +=
            "[data]\nset = \"digits\"\n[train]\nbatch = 64\nepochs = 1\n[train.optimizer]\nkind = \"sgd\"\nlr = 0.05\n";
        Recipe::parse(&text, "test").unwrap()
    }

    fn row(layers: &[(&str, LayerRow)]) -> EpochRow {
        let layers: BTreeMap<_, _> = layers.iter().map(|(name, row)| (name.to_string(), row.clone())).collect();
        EpochRow { epoch: 1, step: 23, train_accuracy: Some(0.11), layers, ..Default::default() }
    }

    fn stuck(code: usize, codes: usize) -> LayerRow {
        let share = |at| if at == code { 0.995 } else { 0.005 / (codes - 1) as f32 };
        LayerRow { codes: (0..codes).map(share).collect(), ..Default::default() }
    }

    #[test]
    fn a_stuck_layer_is_named_and_a_learning_run_is_left_alone() {
        let recipe = Recipe::digits();
        let stuck = LayerRow { passed: Some(0.005), ..stuck(0, 4) };
        let well = LayerRow { codes: vec![0.5, 0.3, 0.1, 0.1], passed: Some(0.45), ..Default::default() };
        let mut row = row(&[("q1", well), ("q2", stuck)]);
        let text = at_chance(&row, 2.3, &recipe).unwrap().join("\n");
        assert!(text.contains("11.0%") && text.contains("layer \"q2\" outputs code 0"), "{text}");
        assert!(text.contains("0.5% of the gradients") && !text.contains("q1") && text.contains("0.05"), "{text}");
        let learning = EpochRow { train_accuracy: Some(0.4), ..row.clone() };
        assert_eq!(at_chance(&learning, 2.3, &recipe), None);
        row.step = 7;
        assert_eq!(at_chance(&row, 2.3, &recipe), None);
    }

    #[test]
    fn the_cause_is_read_off_the_network() {
        for (between, quantiser, code, expected) in [
            (&["batch_norm", "relu"][..], "sign", 1, "\"l2\" before it has no negative outputs"),
            (&["batch_norm", "relu"], "sign", 1, "remove \"l2\", so that it reads the batch_norm \"l1\""),
            (&["batch_norm", "relu", "max_pool;kernel = 2"], "sign", 1, "remove \"l2\""),
            (&["batch_norm", "sigmoid", "dropout"], "sign", 1, "remove \"l2\""),
            (
                &["relu"],
                "sign",
                1,
                "\"l1\" before it has no negative outputs, which sign maps to +1 only; put a batch_norm in its place",
            ),
            // The batch-norm after the relu makes it harmless.
            (&["relu", "batch_norm"], "sign", 1, "the batch_norm \"l2\" before it has diverged"),
            (&["batch_norm", "relu"], "sign", 0, "the batch_norm \"l1\" before it has diverged"),
            (&["batch_norm"], "hwgq", 0, "the batch_norm \"l1\" before it has diverged; try a smaller learning rate"),
            (
                &["batch_norm;affine = false"],
                "hwgq",
                0,
                "the inputs of the batch_norm \"l1\" before it may all be equal",
            ),
            (&["leaky_relu"], "sign", 1, "put a batch_norm before it"),
            (&[], "dorefa", 0, "put a batch_norm before it"),
        ] {
            let recipe = recipe(between, quantiser);
            let codes = if quantiser == "sign" { 2 } else { 4 };
            let lines = at_chance(&row(&[("q", stuck(code, codes))]), 2.3, &recipe).unwrap();
            let line = lines.iter().find(|line| line.contains("layer \"q\"")).unwrap();
            assert!(line.contains(expected), "{between:?} {quantiser}: {line}");
            let norm = between.iter().any(|kind| kind.starts_with("batch_norm"));
            assert!(!norm || !line.contains("put a batch_norm"), "{between:?}: {line}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_come_first_and_alone() {
        let recipe = recipe(&["batch_norm", "relu"], "sign");
        let alpha = Some(Spread { min: 0.1, mean: f32::NAN, max: 1.0 });
        for (loss, layer, what) in [
            (f32::NAN, stuck(1, 2), "the loss is not a finite number"),
            (f32::INFINITY, stuck(1, 2), "the loss is not a finite number"),
            (2.3, LayerRow { alpha, ..stuck(1, 2) }, "a value of layer \"q\" is not a finite number"),
            (2.3, LayerRow { passed: Some(f32::NAN), ..stuck(1, 2) }, "a value of layer \"q\" is not"),
        ] {
            let lines = at_chance(&row(&[("q", layer)]), loss, &recipe).unwrap();
            assert!(lines.len() == 2 && lines[1].contains(what) && lines[1].contains("lr = 0.05"), "{lines:?}");
        }
    }

    #[test]
    fn an_end_that_cuts_scores_is_named() {
        let ends = |text: &str| {
            let digits = halfwave::recipe::builtin("digits").unwrap();
            let layer = format!("[[model.layers]]\nname = \"last\"\nkind = \"{text}\"\n\n[data]");
            let recipe = Recipe::parse(&digits.replacen("[data]", &layer, 1), "test").unwrap();
            at_chance(&row(&[]), 2.3, &recipe).unwrap().join("\n").contains("ends in \"last\"")
        };
        assert!(["relu", "sigmoid", "hwgq", "sign"].map(ends).iter().all(|named| *named));
        assert!(["batch_norm", "tanh", "leaky_relu"].map(ends).iter().all(|named| !named));
    }
}
