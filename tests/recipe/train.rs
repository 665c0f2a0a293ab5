//! `[train]`: losses, optimisers, groups, schedules.

use super::{RIGHT, wrong};
use halfwave::recipe::{
    Adam, AdamW, Bop, Curve, Group, Length, Loss, Memory, Moments, Optimizer, Recipe, Schedule, Sgd, Unit,
};

const SGD: &str = "kind = \"sgd\"\nlr = 0.05\n";

/// [`RIGHT`] with other lines in its optimiser, and more after it.
fn with(optimizer: &str, more: &str) -> String {
    assert_eq!(RIGHT.matches(SGD).count(), 1);
    RIGHT.replace(SGD, optimizer) + more
}

/// The recipe of a valid text, which must be the same after all defaults are spelt out.
fn parsed(text: &str) -> Recipe {
    let recipe = Recipe::parse(text, "test.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let resolved = recipe.to_toml();
    let again = Recipe::parse(&resolved, "resolved.toml").unwrap_or_else(|error| panic!("{error}\n{resolved}"));
    assert_eq!(again, recipe, "{resolved}");
    assert_eq!(again.to_toml(), resolved);
    recipe
}

fn schedule(text: &str) -> Schedule {
    parsed(&with(SGD, &format!("[train.schedule]\n{text}"))).train.schedule
}

/// [`RIGHT`] with another line in `[train]`.
fn with_line(line: &str) -> String {
    RIGHT.replace("epochs = 20\n", &format!("epochs = 20\n{line}\n"))
}

#[test]
fn memory_and_micro_batches_are_read() {
    let train = |line: &str| parsed(&with_line(line)).train;
    assert_eq!((train("").memory, train("").accumulate), (Memory::Normal, 1));
    assert_eq!(train("memory = \"low\"").memory, Memory::Low);
    assert_eq!(train("memory = \"normal\"").memory, Memory::Normal);
    let train = train("accumulate = 4");
    assert_eq!((train.accumulate, train.micro_batch()), (4, 16));
    for (line, parts) in [
        ("memory = \"lo\"", ["memory = \"lo\"", "did you mean \"low\""]),
        ("accumulate = 0", ["accumulate = 0", "from 1 to"]),
        ("accumulate = 24", ["it must divide batch = 64", "such as accumulate = 16"]),
    ] {
        let (at, message) = wrong(&with_line(line));
        assert_eq!(at, 37, "{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{message} should say {part}"));
    }
    let mut train = train;
    assert!(train.set_batch(6, train.accumulate).unwrap_err().to_string().contains("a multiple"));
    train.set_batch(8, train.accumulate).unwrap();
    assert_eq!((train.batch, train.micro_batch()), (8, 2));
}

#[test]
fn losses_are_read() {
    let loss = |text: &str| parsed(&with(SGD, &format!("[train.loss]\n{text}"))).train.loss;
    assert_eq!(loss("kind = \"softmax_cross_entropy\""), Loss::SoftmaxCrossEntropy { label_smoothing: 0.0 });
    let smoothed = loss("kind = \"softmax_cross_entropy\"\nlabel_smoothing = 0.1");
    assert_eq!(smoothed, Loss::SoftmaxCrossEntropy { label_smoothing: 0.1 });
    assert_eq!(loss("kind = \"sigmoid_cross_entropy\""), Loss::SigmoidCrossEntropy);
    assert_eq!(loss("kind = \"squared_error\""), Loss::SquaredError);
    assert_eq!(loss("kind = \"squared_hinge\""), Loss::SquaredHinge);
}

#[test]
fn optimizers_are_read() {
    let optimizer = |text: &str| parsed(&with(text, "")).train.optimizer;
    let sgd =
        optimizer("kind = \"sgd\"\nlr = 0.1\nmomentum = 0.9\nnesterov = true\nweight_decay = 5e-4\nclip_norm = 2\n");
    let rule = Sgd { momentum: 0.9, nesterov: true };
    assert_eq!(sgd, Optimizer { weight_decay: 5e-4, clip_norm: Some(2.0), ..Optimizer::new(0.1, rule) });
    let moments = Moments { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    assert_eq!(optimizer("kind = \"adam\"\nlr = 1e-3\n"), Optimizer::new(1e-3, Adam(moments)));
    let adamw = optimizer("kind = \"adamw\"\nlr = 1e-3\nbeta1 = 0\nbeta2 = 0.98\neps = 1e-6\n");
    let moments = Moments { beta1: 0.0, beta2: 0.98, eps: 1e-6 };
    assert_eq!(adamw, Optimizer { weight_decay: 0.01, ..Optimizer::new(1e-3, AdamW(moments)) });
    assert_eq!(optimizer("kind = \"adamw\"\nlr = 1e-3\nweight_decay = 0\n").weight_decay, 0.0);

    let binary = |text: &str| {
        let text = with(text, "").replace("units = 10", "units = 10\nweights = \"binary\"");
        text.replace("kind = \"batch_norm\"", "kind = \"max_pool\"\nkernel = 2")
    };
    let bop = parsed(&binary("kind = \"bop\"\nlr = 1e-3\n")).train.optimizer.rule;
    assert_eq!(bop, Bop { moments: Moments::default(), gamma: 1e-4, threshold: 1e-8 }.into());
    let bop =
        parsed(&binary("kind = \"bop\"\nlr = 1e-3\ngamma = 1e-3\nthreshold = 0\nbeta2 = 0.99\n")).train.optimizer.rule;
    let moments = Moments { beta2: 0.99, ..Moments::default() };
    assert_eq!(bop, Bop { moments, gamma: 1e-3, threshold: 0.0 }.into());

    // Parameters without a learning rate cannot have a factor for it, nor weight decay.
    let grouped = |keys: &str| {
        let group = format!("[[train.optimizer.groups]]\nmatch = \"*.weight\"\n{keys}\n");
        Recipe::parse(&binary(&format!("kind = \"bop\"\nlr = 1e-3\n{group}")), "r.toml")
    };
    for keys in ["lr_scale = 0.5", "weight_decay = 0"] {
        let message = grouped(keys).unwrap_err().to_string();
        assert!(message.contains(keys) && message.contains("bop flips fc.weight without"), "{message}");
    }
    assert_eq!(grouped("lr_scale = 1").unwrap().train.optimizer.groups.len(), 1);

    // Ranks can vote on flips, but then no norm is known.
    let voting = |keys: &str| {
        let text = format!("kind = \"bop\"\nlr = 1e-3\n{keys}[train.ranks]\nflips = true\n");
        Recipe::parse(&binary(&text), "r.toml")
    };
    assert!(voting("").unwrap().train.ranks.flips);
    let message = voting("clip_norm = 1\n").unwrap_err().to_string();
    assert!(message.contains("flips = true") && message.contains("clip_norm"), "{message}");
}

#[test]
fn groups_are_read_in_order() {
    let groups = "[[train.optimizer.groups]]\nmatch = \"*.bias\"\nlr_scale = 2\n\
        [[train.optimizer.groups]]\nmatch = \"bn1.*\"\nweight_decay = 0.5\n";
    let optimizer = parsed(&with(SGD, groups)).train.optimizer;
    let group = |pattern: &str, lr_scale, weight_decay| Group { pattern: pattern.into(), lr_scale, weight_decay };
    assert_eq!(optimizer.groups, [group("*.bias", 2.0, None), group("bn1.*", 1.0, Some(0.5))]);
}

#[test]
fn schedules_are_read() {
    assert_eq!(schedule("kind = \"constant\""), Schedule::default());
    assert_eq!(schedule("kind = \"linear\"\nwarmup_steps = 0"), Schedule::new(Curve::Linear));
    let polynomial = Curve::Polynomial { power: 2.0, end: 1e-4 };
    assert_eq!(schedule("kind = \"polynomial\"\npower = 2\nend = 1e-4"), Schedule::new(polynomial));
    let cosine = Schedule { curve: Curve::Cosine { end: 0.0 }, warmup: Some(Length::Epochs(5)) };
    assert_eq!(schedule("kind = \"cosine\"\nwarmup_epochs = 5"), cosine);
    let step = Curve::Step { every: 30, factor: 0.1, unit: Unit::Epochs };
    assert_eq!(schedule("kind = \"step\"\nevery = 30"), Schedule::new(step));
    let multi = Curve::MultiStep { milestones: vec![100, 150], factor: 0.5, unit: Unit::Steps };
    let text = "kind = \"multi_step\"\nmilestones = [100, 150]\nfactor = 0.5\nunit = \"steps\"\nwarmup_steps = 7";
    assert_eq!(schedule(text), Schedule { curve: multi, warmup: Some(Length::Steps(7)) });
    let exponential = Curve::Exponential { factor: 0.95, unit: Unit::Epochs };
    assert_eq!(schedule("kind = \"exponential\"\nfactor = 0.95"), Schedule::new(exponential));
}

/// The learning rate depends on the length of the run: 20 epochs of 23 steps.
#[test]
fn a_schedule_knows_the_length_of_the_run() {
    let rates = |text: &str, steps: [u64; 3]| {
        let train = parsed(&with(SGD, &format!("[train.schedule]\n{text}"))).train;
        steps.map(|step| train.lr(step, 1437))
    };
    assert_eq!(rates("kind = \"linear\"", [0, 230, 460]), [0.05, 0.025, 0.0]);
    assert_eq!(rates("kind = \"step\"\nevery = 10\nfactor = 0.5", [0, 229, 230]), [0.05, 0.05, 0.025]);
    assert_eq!(rates("kind = \"cosine\"\nwarmup_epochs = 2", [22, 45, 46]), [0.025, 0.05, 0.05]);
    assert_eq!(parsed(RIGHT).train.lr(459, 1437), 0.05);
}

/// Text of the optimiser, text after it, the error's line (38 is the optimiser's heading) and parts
/// of its message.
const WRONG: &[(&str, &str, usize, &[&str])] = &[
    // Losses.
    (SGD, "[train.loss]\nkind = \"hinge\"", 42, &["[train.loss]: kind = \"hinge\"", "squared_hinge"]),
    (SGD, "[train.loss]\n", 41, &["[train.loss]: kind is missing", "softmax_cross_entropy"]),
    (
        SGD,
        "[train.loss]\nkind = \"squared_error\"\nlabel_smoothing = 0.1",
        43,
        &["[train.loss] (squared_error)", "unknown key \"label_smoothing\"", "expected kind"],
    ),
    (
        SGD,
        "[train.loss]\nkind = \"softmax_cross_entropy\"\nlabel_smoothing = 1.5",
        43,
        &["label_smoothing = 1.5", "from 0 to 1"],
    ),
    // Optimisers.
    ("lr = 0.05\n", "", 38, &["[train.optimizer]: kind is missing", "one of sgd, adam, adamw, bop"]),
    ("kind = 3\nlr = 0.05\n", "", 39, &["kind = 3", "expected one of sgd", "in quotes"]),
    (
        "kind = \"adam\"\nlr = 1\nmomentum = 0.9\n",
        "",
        41,
        &[
            "[train.optimizer] (adam)",
            "unknown key \"momentum\"",
            "which only sgd has; expected one of kind, lr, beta1, beta2, eps, weight_decay, clip_norm, groups",
        ],
    ),
    ("kind = \"sgd\"\nlr = 1\nbeta1 = 0.9\n", "", 41, &["unknown key \"beta1\""]),
    ("kind = \"sgd\"\nlr = 1\nnesterov = true\n", "", 41, &["nesterov", "momentum = 0.9"]),
    ("kind = \"adam\"\nlr = 1\nbeta2 = 1\n", "", 41, &["beta2 = 1", "below 1"]),
    ("kind = \"adam\"\nlr = 1\neps = 0\n", "", 41, &["eps = 0", "1e-8"]),
    ("kind = \"adamw\"\nweight_decay = 0\n", "", 38, &["(adamw): lr is missing"]),
    ("kind = \"bop\"\nlr = 1\n", "", 39, &["kind = \"bop\"", "the model has none"]),
    ("kind = \"bop\"\nlr = 1\ngamma = 0\n", "", 41, &["gamma = 0", "above 0"]),
    ("kind = \"bop\"\nlr = 1\nthreshold = -1\n", "", 41, &["threshold = -1"]),
    ("kind = \"sgd\"\nlr = 1\nclip_norm = 0\n", "", 41, &["clip_norm = 0", "above 0, or remove it"]),
    // Groups.
    ("kind = \"sgd\"\nlr = 1\ngroups = 3\n", "", 41, &["[[train.optimizer.groups]]"]),
    (SGD, "[[train.optimizer.groups]]\nlr_scale = 2", 41, &["[[train.optimizer.groups]]: match is missing"]),
    (SGD, "[[train.optimizer.groups]]\nmatch = \"*\"\nlr = 2", 43, &["unknown key \"lr\"", "lr_scale"]),
    (SGD, "[[train.optimizer.groups]]\nmatch = \"*\"\nlr_scale = -2", 43, &["lr_scale = -2"]),
    (
        SGD,
        "[[train.optimizer.groups]]\nmatch = \"*.bais\"",
        42,
        &["match = \"*.bais\"", "no parameter", "conv1.weight, bn1.weight, bn1.bias, fc.bias, fc.weight"],
    ),
    (
        SGD,
        "[[train.optimizer.groups]]\nmatch = \"*\"\n[[train.optimizer.groups]]\nmatch = \"fc.bias\"",
        44,
        &["match = \"fc.bias\"", "earlier groups"],
    ),
    // Statistics are not parameters.
    (SGD, "[[train.optimizer.groups]]\nmatch = \"*running*\"", 42, &["no parameter"]),
    // Schedules.
    (SGD, "[train.schedule]\nkind = \"cosinus\"", 42, &["did you mean \"cosine\""]),
    (SGD, "[train.schedule]\nkind = \"linear\"\nend = 0.1", 43, &["[train.schedule] (linear)", "unknown key \"end\""]),
    (SGD, "[train.schedule]\nevry = 3", 42, &["unknown key \"evry\"", "did you mean \"every\""]),
    (SGD, "[train.schedule]\nkind = \"step\"", 41, &["(step): every is missing"]),
    (SGD, "[train.schedule]\nkind = \"step\"\nevery = 0", 43, &["every = 0"]),
    (SGD, "[train.schedule]\nkind = \"step\"\nevery = 3\nunit = \"epoch\"", 44, &["did you mean \"epochs\""]),
    (SGD, "[train.schedule]\nkind = \"step\"\nevery = 3\nfactor = 0", 44, &["factor = 0", "above 0"]),
    (SGD, "[train.schedule]\nkind = \"multi_step\"\nmilestones = [8, 8]", 43, &["milestones = [8, 8]", "increasing"]),
    (SGD, "[train.schedule]\nkind = \"multi_step\"\nmilestones = []", 43, &["increasing"]),
    (SGD, "[train.schedule]\nkind = \"multi_step\"\nmilestones = [0, 8]", 43, &["at least 1"]),
    (SGD, "[train.schedule]\nkind = \"polynomial\"", 41, &["power is missing"]),
    (SGD, "[train.schedule]\nkind = \"cosine\"\nend = -1", 43, &["end = -1", "last learning rate"]),
    (SGD, "[train.schedule]\nkind = \"exponential\"", 41, &["factor is missing"]),
    (SGD, "[train.schedule]\nkind = \"linear\"\nwarmup_epochs = 1\nwarmup_steps = 1", 44, &["not both"]),
    (SGD, "[train.schedule]\nkind = \"linear\"\nwarmup_epochs = 21", 43, &["longer than the run"]),
    (SGD, "[train.schedule]\nkind = \"linear\"\nwarmup_steps = -1", 43, &["warmup_steps = -1"]),
    // Ranks.
    (SGD, "[train.ranks]\nflips = 1", 42, &["flips = 1", "true or false"]),
    (SGD, "[train.ranks]\nflips = true", 42, &["[train.ranks]: flips = true", "\"sgd\" flips no weights"]),
];

#[test]
fn every_mistake_in_training_is_one_clear_error() {
    for &(optimizer, more, line, parts) in WRONG {
        let (at, message) = wrong(&with(optimizer, more));
        for part in parts {
            assert!(message.contains(part), "{optimizer}{more}: {message}\nshould say {part}");
        }
        assert_eq!(at, line, "{optimizer}{more}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}
