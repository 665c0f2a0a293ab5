//! What to check when a run does not learn.

use super::terminal::percent;
use halfwave::recipe::Recipe;
use halfwave::train::metrics::EpochRow;

/// Up to so many times the share that guessing gets right, an accuracy is at chance.
const CHANCE: f32 = 1.3;

/// Before so many steps, or so many images of each class, nothing is said.
const STEPS: u64 = 20;
const IMAGES: u64 = 50;

/// A layer is stuck when so large a share of its codes are one.
const STUCK: f32 = 0.99;

/// Lines of advice after an epoch whose accuracy is no better than guessing; nothing where it is.
pub(super) fn at_chance(row: &EpochRow, recipe: &Recipe) -> Option<Vec<String>> {
    let accuracy = row.train_accuracy?;
    let classes = recipe.model.classes;
    // A few steps on a few images tell nothing.
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
    for (name, layer) in &row.layers {
        let most = layer.codes.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((code, share)) = most.filter(|(_, share)| *share >= STUCK) {
            let share = percent(share);
            lines.push(format!(
                "- layer \"{name}\" gives code {code} for {share} of its inputs: put a batch_norm before it"
            ));
        }
        if let Some(passed) = layer.passed.filter(|passed| *passed <= 1.0 - STUCK) {
            let passed = percent(passed);
            lines.push(format!("- its surrogate lets only {passed} of the gradients of layer \"{name}\" through"));
        }
    }
    let lr = recipe.train.optimizer.lr;
    lines.push(format!("- the learning rate, train.optimizer.lr = {lr}: try a tenth of it, and ten times as much"));
    lines.push("- the labels: do the classes' folders or label files belong to these images?".to_string());
    lines.push("- data.scale, mean and std: inputs should have a mean near 0 and a deviation near 1".to_string());
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfwave::train::metrics::LayerRow;
    use std::collections::BTreeMap;

    #[test]
    fn a_stuck_layer_is_named_and_a_learning_run_is_left_alone() {
        let recipe = Recipe::digits();
        let stuck = LayerRow { codes: vec![0.995, 0.005, 0.0, 0.0], passed: Some(0.005), ..Default::default() };
        let well = LayerRow { codes: vec![0.5, 0.3, 0.1, 0.1], passed: Some(0.45), ..Default::default() };
        let layers = BTreeMap::from([("q1".to_string(), well), ("q2".to_string(), stuck)]);
        let mut row = EpochRow { epoch: 1, step: 23, train_accuracy: Some(0.11), layers, ..Default::default() };
        let text = at_chance(&row, &recipe).unwrap().join("\n");
        assert!(text.contains("11.0 %") && text.contains("layer \"q2\" gives code 0"), "{text}");
        assert!(text.contains("0.5 % of the gradients") && !text.contains("q1") && text.contains("0.05"), "{text}");
        let learning = EpochRow { train_accuracy: Some(0.4), ..row.clone() };
        assert_eq!(at_chance(&learning, &recipe), None);
        row.step = 7;
        assert_eq!(at_chance(&row, &recipe), None);
    }
}
