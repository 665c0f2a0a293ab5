//! Every optimiser and loss in a whole run: the loss decreases, a resumed run gives the same bits,
//! and the checkpoint holds exactly the optimiser's state.

use super::{EPOCH_STEPS, checkpoint, create, finish, recipe, resume, rows, trainer};
use halfwave::recipe::{Adam, AdamW, Bop, Curve, Group, Length, Loss, Moments, Optimizer, Recipe, Rule, Schedule, Sgd};
use halfwave::train::metrics::Row;
use halfwave::train::run::SavedRun;
use pollster::block_on;
use std::collections::{BTreeMap, BTreeSet};

fn recipes() -> Vec<(&'static str, Recipe)> {
    let moments = Moments::default();
    let group = |pattern: &str, lr_scale, weight_decay| Group { pattern: pattern.into(), lr_scale, weight_decay };
    let groups = vec![group("bn3.bias", 0.5, Some(0.01)), group("conv1.*", 2.0, None)];
    let nesterov = Optimizer::new(0.05, Sgd { momentum: 0.9, nesterov: true });
    let adamw = Optimizer { weight_decay: 0.01, clip_norm: Some(0.5), groups, ..Optimizer::new(2e-3, AdamW(moments)) };
    let bop = Bop { moments, gamma: 1e-2, threshold: 1e-6 };
    let smoothed = Loss::SoftmaxCrossEntropy { label_smoothing: 0.1 };
    let mut all = vec![
        ("nesterov", Loss::SquaredHinge, nesterov),
        ("adam", Loss::SigmoidCrossEntropy, Optimizer::new(2e-3, Adam(moments))),
        ("adamw", smoothed, adamw),
        ("bop", Loss::SquaredError, Optimizer::new(2e-3, bop)),
    ];
    let listed: Vec<_> = all.iter().map(|(_, _, optimizer)| optimizer.name()).collect();
    let others = Rule::all().into_iter().filter(|rule| !listed.contains(&rule.name()));
    all.extend(others.map(|rule| (rule.name(), Loss::default(), Optimizer::new(2e-3, rule))));
    let recipes = all.into_iter().map(|(name, loss, optimizer)| {
        let mut recipe = recipe();
        (recipe.train.loss, recipe.train.optimizer) = (loss, optimizer);
        recipe.train.schedule = Schedule { curve: Curve::Cosine { end: 1e-4 }, warmup: Some(Length::Steps(2)) };
        (name, recipe)
    });
    recipes.collect()
}

#[test]
fn every_optimizer_learns_and_goes_on_to_the_same_bits() {
    let base = tempfile::tempdir().unwrap();
    for (name, recipe) in recipes() {
        let [whole, killed] = ["whole", "killed"].map(|what| base.path().join(format!("{name}-{what}")));
        finish(create(&whole, recipe.clone()));
        let losses: Vec<_> = rows(&whole)
            .into_iter()
            .filter_map(|row| if let Row::Step(row) = row { Some(row.loss) } else { None })
            .collect();
        let [first, last] = [&losses[..2], &losses[losses.len() - 2..]].map(|losses| losses.iter().sum::<f32>());
        assert!(last < 0.9 * first, "{name}: {losses:?}");

        let mut run = create(&killed, recipe.clone());
        for _ in 0..=EPOCH_STEPS {
            block_on(run.advance(1)).unwrap();
        }
        drop(run);
        finish(resume(&killed, |_| {}));
        assert_eq!(rows(&killed), rows(&whole), "{name}");
        assert!(checkpoint(&killed) == checkpoint(&whole), "{name}: the checkpoints differ");
    }
}

#[test]
fn a_checkpoint_holds_what_its_optimizer_keeps() {
    let base = tempfile::tempdir().unwrap();
    let mut bytes = BTreeMap::new();
    let plain = ("sgd", recipe());
    for (name, recipe) in [plain].into_iter().chain(recipes()) {
        let dir = base.path().join(name);
        let mut run = create(&dir, recipe.clone());
        bytes.insert(name, run.trainer().session().plan().memory.state);
        drop(run);
        let saved = SavedRun::read(&dir).unwrap();
        let tensors = &saved.checkpoint.tensors;
        let kept: BTreeSet<_> = tensors.keys().filter(|name| Optimizer::owns(name)).cloned().collect();
        let trained = trainer(recipe.clone()).session().trained();
        let binary = |name: &str| ["conv2.weight", "conv3.weight"].contains(&name);
        let expected = trained.iter().flat_map(|parameter| {
            let states = recipe.train.optimizer.states(binary(parameter));
            states.iter().map(move |state| format!("{state}/{parameter}"))
        });
        assert_eq!(kept, expected.collect(), "{name}");
        for (parameter, tensor) in tensors.iter().filter(|(parameter, _)| parameter.ends_with(".weight")) {
            if !Optimizer::owns(parameter) && !parameter.starts_with("bn") {
                let signs = tensor.values.iter().all(|v| v.abs() == 1.0);
                assert_eq!(signs, name == "bop" && binary(parameter), "{name}: {parameter}");
            }
        }
        // A checkpoint without one of them is invalid.
        let mut lacking = saved.checkpoint.clone();
        let lost = kept.into_iter().next_back().unwrap();
        lacking.tensors.remove(&lost);
        let message = lacking.check(&recipe).unwrap_err().to_string();
        assert!(message.contains(&lost), "{message}");
    }
    let [sgd, nesterov, adam, adamw, bop] = ["sgd", "nesterov", "adam", "adamw", "bop"].map(|name| bytes[name]);
    assert!(sgd == nesterov && adam == adamw, "{bytes:?}");
    // For conv2 and conv3, 9·16·32 + 9·32·64 floats: Adam keeps two states, Bop one.
    assert_eq!(adam - bop, 4 * 9 * (16 * 32 + 32 * 64));
    assert!(sgd < bop && bop < adam, "{bytes:?}");
}

/// Weights that the optimiser flips start as signs, wherever they come from.
#[test]
fn start_values_become_signs_for_bop() {
    let (_, bop) = recipes().into_iter().find(|(name, _)| *name == "bop").unwrap();
    let mut plain = trainer(recipe());
    let tensors = block_on(plain.session().tensors()).unwrap();
    let mut flipping = trainer(bop);
    flipping.initialise(&tensors).unwrap();
    let taken = block_on(flipping.session().tensors()).unwrap();
    for (name, tensor) in tensors.iter().filter(|(name, _)| !Optimizer::owns(name)) {
        let sign = |v: &f32| if *v >= 0.0 { 1.0 } else { -1.0 };
        let binary = ["conv2.weight", "conv3.weight"].contains(&name.as_str());
        let expected = if binary { tensor.values.iter().map(sign).collect() } else { tensor.values.clone() };
        assert_eq!(taken[name].values, expected, "{name}");
    }
}

/// Bop flips the weights that a recipe calls binary; all others use Adam, including those of one
/// bit.
#[test]
fn bop_stands_beside_every_kind_of_weights() {
    let base = tempfile::tempdir().unwrap();
    let kinds = [
        "weights = \"dorefa\"\nweight_bits = 1",
        "weights = \"dorefa\"\nweight_bits = 1\nclip_weights = true\ngroups = 2",
        "weights = \"dorefa\"\nweight_bits = 2",
        "weights = \"dorefa\"\nweight_bits = 4",
        "weights = \"abc\"\nbases = 1",
        "weights = \"abc\"\nbases = 3\ngroups = 2",
        "weights = \"fixed\"",
        "weights = \"float\"\ngroups = 2",
        "weights = \"binary\"\nweight_gradient = \"xnor\"\nclip_weights = true",
        "weights = \"binary\"\nalpha = \"none\"\ngroups = 2",
    ];
    for (at, keys) in kinds.into_iter().enumerate() {
        let clip = if at % 2 == 0 { "clip_norm = 0.5\n" } else { "" };
        let layer = |name: &str, keys: &str| format!("[[model.layers]]\nname = \"{name}\"\n{keys}\n");
        let conv = |keys: &str| format!("kind = \"conv\"\nfilters = 8\nkernel = 3\npadding = 1\n{keys}");
        let (norm, sign) = ("kind = \"batch_norm\"", "kind = \"sign\"");
        let mut text = "[model]\ninput = [1, 8, 8]\nclasses = 10\n".to_string();
        text +=
            &[layer("first", &conv("")), layer("bn1", norm), layer("s1", sign), layer("other", &conv(keys))].concat();
        text += &[layer("bn2", norm), layer("s2", sign), layer("flip", &conv("weights = \"binary\""))].concat();
        text += &[layer("bn3", norm), layer("fc", "kind = \"linear\"\nunits = 10")].concat();
        text +=
            "[data]\nset = \"digits\"\n[train]\nbatch = 16\nsteps = 2\n[train.optimizer]\nkind = \"bop\"\nlr = 0.01\n";
        let recipe = Recipe::parse(&(text + clip), keys).unwrap();
        let dir = base.path().join(at.to_string());
        finish(create(&dir, recipe));
        let tensors = SavedRun::read(&dir).unwrap().checkpoint.tensors;
        for name in ["flip", "other"] {
            let binary = name == "flip" || keys.contains("binary");
            let has = |state: &str| tensors.contains_key(&format!("{state}/{name}.weight"));
            assert_eq!((has("momentum"), has("moment1"), has("moment2")), (binary, !binary, !binary), "{name}: {keys}");
            let signs = tensors[&format!("{name}.weight")].values.iter().all(|v| v.abs() == 1.0);
            assert_eq!(signs, binary, "{name}: {keys}");
        }
        finish(resume(&dir, |recipe| recipe.train.length = Length::Steps(3)));
        assert_eq!(SavedRun::read(&dir).unwrap().checkpoint.position.step, 3, "{keys}");
    }
}
