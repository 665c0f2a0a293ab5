//! Recipes: valid ones parse, and every invalid one gives a single error with its line and what to
//! do.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "recipe/data.rs"]
mod data;
#[path = "recipe/extend.rs"]
mod extend;
#[path = "recipe/files.rs"]
mod files;
#[path = "recipe/json.rs"]
mod json;
#[path = "recipe/layers.rs"]
mod layers;
#[path = "common/messages.rs"]
mod messages;
#[path = "common/recipes.rs"]
mod recipes;
#[path = "recipe/train.rs"]
mod train;

use halfwave::Error;
use halfwave::model::{Conv, LayerKind, Surrogate, Weights};
use halfwave::recipe::{BUILTIN, Cifar10, Folder, Length, Loss, Optimizer, Pictures, Recipe, Schedule, builtin};
use recipes::{RIGHT, wrong};

#[test]
fn defaults_are_filled_in() {
    let recipe = Recipe::parse(RIGHT, "test.toml").unwrap();
    let conv = Conv {
        filters: 16,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 1,
        bias: false,
        weights: Weights::FLOAT,
        input_scale: false,
    };
    assert_eq!(recipe.model.layers[0].kind, LayerKind::Conv(conv));
    assert_eq!(recipe.model.layers[0].from, ["input"]);
    assert_eq!(recipe.model.layers[4].from, ["bn1"]);
    assert_eq!(recipe.model.layers.iter().map(|layer| layer.line).collect::<Vec<_>>(), [5, 12, 17, 22, 26]);
    assert_eq!((recipe.data.scale, recipe.data.shuffle), ([0.0625, -0.5], true));
    let train = &recipe.train;
    assert_eq!((train.seed, train.drop_last, train.evaluate_every), (0, false, 1));
    assert_eq!(train.length, Length::Epochs(20));
    assert_eq!(train.optimizer, Optimizer::sgd(0.05, 0.0, 0.0));
    assert_eq!((&train.loss, &train.schedule), (&Loss::default(), &Schedule::default()));
    assert_eq!((train.epoch_steps(1437), train.total_steps(1437)), (23, 460));
}

#[test]
fn the_reference_recipe_parses() {
    let text = include_str!("../assets/reference/digits-hwgq.toml");
    let recipe = Recipe::parse(text, "digits-hwgq.toml").unwrap();
    assert_eq!(recipe.model.layers.len(), 11);
    assert_eq!(recipe.model.weights_len().unwrap(), 144 + 16 * 40 * 9 + 40 * 48 * 9 + 768 * 10 + 10);
    assert_eq!(recipe.train.length, Length::Steps(20));
    assert!(!recipe.data.shuffle);
}

#[test]
fn embedded_recipes_parse() {
    for (name, text) in BUILTIN {
        let recipe = Recipe::parse(text, name).unwrap();
        assert_eq!(builtin(name), Some(text));
        assert_eq!(recipe.model.shapes().unwrap().len(), recipe.model.layers.len());
    }
    assert_eq!(builtin("none"), None);
    let vgg = Recipe::parse(builtin("vgg-small").unwrap(), "vgg-small").unwrap();
    assert_eq!((vgg.model.weights_len(), vgg.model.multiply_adds()), (Ok(4_656_522), Ok(607_600_640)));
    let float = Recipe::parse(builtin("digits-float").unwrap(), "digits-float").unwrap();
    assert_eq!(Recipe::digits().model.weights_len(), float.model.weights_len());
}

#[test]
fn the_resolved_recipe_is_the_same_recipe() {
    let everything = r#"
        model = { input = [3, 32, 32], classes = 10, layers = [
            { name = "a", kind = "conv", filters = 0x10, kernel = [3, 5], stride = [2, 1], padding = [1, 2], bias = true },
            { name = "q", kind = "hwgq", bits = 4, levels = "uniform", surrogate = "log_tailed" },
            { name = "p", kind = "avg_pool", kernel = 3, stride = 2, padding = 1 },
            { name = "q.2", kind = "hwgq", surrogate = "identity", bits = 1, from = ["q"] },
            { name = "m", kind = "max_pool", kernel = [2, 2] },
            { name = "b", kind = "conv", filters = 16, kernel = 3, padding = 1, weights = "binary" },
            { name = "g", kind = "batch_norm", momentum = 0.2, eps = 1e-3, affine = false },
            { name = "s", kind = "add", from = ["g", "m"] },
            { name = "r", kind = "relu" },
            { name = "v", kind = "global_avg_pool" },
            { name = "w", kind = "global_avg_pool", from = "p" },
            { name = "t", kind = "add", from = ["v", "w"] },
            { name = "z", kind = "hwgq", surrogate = "vanilla" },
            { name = "fc", kind = "linear", units = 10, weights = "binary" },
        ] }
        [data]
        set = "cifar10"
        dir = "C:\\images \"ten\""
        scale = [0.0039215689, -1e-20]
        shuffle = false
        [train]
        batch = 1
        steps = 3
        seed = 18446744073709551615
        drop_last = true
        evaluate_every = 5
        optimizer = { kind = "sgd", lr = 3e-5, momentum = 0.95, weight_decay = 1 }
    "#;
    // Its batch norm sees more than one pixel, so a batch of one is allowed.
    for text in [everything].into_iter().chain(BUILTIN.map(|(_, text)| text)) {
        let recipe = Recipe::parse(text, "given.toml").unwrap();
        let resolved = recipe.to_toml();
        let again = Recipe::parse(&resolved, "resolved.toml").unwrap_or_else(|error| panic!("{error}\n{resolved}"));
        assert_eq!(again, recipe, "{resolved}");
        assert_eq!(again.to_toml(), resolved);
    }
    let recipe = Recipe::parse(everything, "given.toml").unwrap();
    assert_eq!(recipe.data.set, Cifar10 { dir: "C:\\images \"ten\"".into() }.into());
    assert!(matches!(&recipe.model.layers[1].kind, LayerKind::Hwgq(v) if v.surrogate == Surrogate::LogTailed));
    // A folder has the model's input size and classes; its number of images is not known yet.
    let folder = RIGHT.replace("set = \"digits\"", "set = \"folder\"\ndir = \"my/pictures\"");
    let recipe = Recipe::parse(&folder, "folder.toml").unwrap();
    assert_eq!(
        recipe.data.set,
        Folder { dir: "my/pictures".into(), image: [1, 8, 8], classes: 10, pictures: Pictures::default() }.into()
    );
    assert_eq!(recipe.data.scale, [1.0 / 255.0, 0.0]);
    assert_eq!(Recipe::parse(&recipe.to_toml(), "resolved.toml").unwrap(), recipe);
    let two = folder.replace("input = [1, 8, 8]", "input = [2, 8, 8]");
    assert!(wrong(&two).1.contains("1 channel (grey) or 3 (colour)"), "{}", wrong(&two).1);
    let many = folder.replace("classes = 10", "classes = 70000").replace("units = 10", "units = 70000");
    assert!(wrong(&many).1.contains("at most 65536 classes"), "{}", wrong(&many).1);
    let resolved = Recipe::digits().to_toml();
    for line in [
        "zero_bin = \"zero\"",
        "step = 0.538",
        "from = \"input\"",
        "stride = [1, 1]",
        "levels = \"uniform\"",
        "shuffle = true",
        "drop_last = false",
    ] {
        assert!(resolved.contains(line), "{line} in\n{resolved}");
    }
}

/// Text in [`RIGHT`], its replacement, the error's line and parts of its message.
const WRONG: &[(&str, &str, usize, &[&str])] = &[
    // Not TOML, or not a recipe.
    ("classes = 10", "classes = = 10", 3, &["not valid TOML"]),
    (
        "classes = 10",
        "classes = 10\nclasses = 11",
        4,
        &["not valid TOML: duplicate key classes: the first one is in line 3"],
    ),
    ("[data]", "[date]", 31, &["unknown key \"date\"", "did you mean \"data\"?"]),
    ("[data]\nset = \"digits\"\n", "", 1, &["[data] is missing"]),
    ("[data]\nset = \"digits\"", "[data]", 31, &["[data]: set is missing"]),
    ("[train.optimizer]\nkind = \"sgd\"\nlr = 0.05\n", "", 34, &["[train.optimizer] is missing"]),
    // Keys and kinds that are unknown or belong elsewhere.
    ("filters = 16", "filtres = 16", 8, &["layer \"conv1\"", "unknown key \"filtres\"", "did you mean \"filters\"?"]),
    (
        "filters = 16",
        "units = 16",
        8,
        &[
            "unknown key \"units\"",
            "expected one of name, kind, from, filters, kernel, stride, padding, dilation, groups, bias",
        ],
    ),
    ("kind = \"hwgq\"", "kind = \"hgwq\"", 14, &["layer \"q1\"", "kind = \"hgwq\"", "did you mean \"hwgq\"?"]),
    ("kind = \"hwgq\"", "kind = \"maxout\"", 14, &["expected one of conv, linear, batch_norm, hwgq, sign"]),
    ("kind = \"hwgq\"", "", 12, &["layer \"q1\": kind is missing", "one of conv"]),
    (
        "kind = \"max_pool\"",
        "kind = \"max_pool\"\nunits = 3",
        20,
        &["\"pool1\" (max_pool)", "\"units\"", "expected one of name, kind, from, kernel, stride, padding"],
    ),
    ("name = \"q1\"\n", "", 12, &["layer 2 (hwgq): name is missing"]),
    ("epochs = 20", "epochs = 20\nlr = 0.1", 37, &["[train]: unknown key \"lr\"; did you mean train.optimizer.lr?"]),
    ("epochs = 20", "epochs = 20\nearly_stopping = 3", 37, &["did you mean \"patience\"?"]),
    ("lr = 0.05", "learning_rate = 0.05", 40, &["did you mean \"lr\"?"]),
    ("epochs = 20", "epochs = 20\ndropout = 0.5", 37, &["did you mean kind = \"dropout\" in [[model.layers]]?"]),
    ("kind = \"linear\"", "kind = \"Dense\"", 28, &["kind = \"Dense\"", "did you mean \"linear\""]),
    ("kind = \"linear\"", "kind = \"fc\"", 28, &["did you mean \"linear\""]),
    ("kind = \"sgd\"", "kind = \"SGD\"", 39, &["did you mean \"sgd\"?"]),
    ("batch = 64", "batch_size = 64", 35, &["did you mean \"batch\"?"]),
    ("units = 10", "out_features = 10", 29, &["did you mean \"units\"?"]),
    ("epochs = 20", "epochs = 20\nextends = \"digits\"", 37, &["it belongs at the top of the file"]),
    // Wrong types.
    (
        "filters = 16",
        "filters = \"16\"",
        8,
        &["\"conv1\" (conv)", "filters = \"16\"", "whole number from 1 to 1048576"],
    ),
    ("filters = 16", "filters = 16.0", 8, &["filters = 16.0"]),
    ("filters = 16", "filters = ", 8, &["not valid TOML: the value is missing"]),
    ("set = \"digits\"", "set = digits", 32, &["not valid TOML: a string needs quotes: \"digits\""]),
    ("kernel = 3", "kernel = [3, 3, 3]", 9, &["kernel = [3, 3, 3]", "[vertical, horizontal]"]),
    ("input = [1, 8, 8]", "input = [1, 8]", 2, &["a list of 3"]),
    ("name = \"fc\"", "name = 7", 27, &["name = 7", "string in quotes"]),
    ("kernel = 2", "kernel = 2\nfrom = []", 21, &["from = []"]),
    ("set = \"digits\"", "set = \"digits\"\nshuffle = 1", 33, &["shuffle = 1", "true or false"]),
    // Out of range.
    ("filters = 16", "filters = 0", 8, &["filters = 0"]),
    ("filters = 16", "filters = -1", 8, &["filters = -1"]),
    ("filters = 16", "filters = 99999999999999999999", 8, &["filters = 9999"]),
    ("bits = 2", "bits = 5", 15, &["\"q1\" (hwgq)", "bits = 5", "from 1 to 4"]),
    ("bits = 2", "levels = \"loyd\"", 15, &["levels = \"loyd\"", "did you mean \"lloyd\"?"]),
    ("bits = 2", "levels = [1, 0.5]", 15, &["levels = [1, 0.5]", "increasing list"]),
    ("bits = 2", "levels = [0.5, \"a\"]", 15, &["increasing list of 1 to 15 numbers"]),
    ("bits = 2", "bits = 2\nlevels = [0.5, 1]", 15, &["bits = 2", "no meaning with"]),
    ("bits = 2", "step = 0", 15, &["step = 0", "above 0"]),
    ("bits = 2", "zero_bin = \"full\"", 15, &["expected one of zero, half"]),
    ("bits = 2", "surrogate = \"clip\"", 15, &["expected one of identity, vanilla, clipped, log_tailed"]),
    ("kind = \"batch_norm\"", "kind = \"batch_norm\"\neps = 0", 25, &["eps = 0", "above 0"]),
    ("kind = \"batch_norm\"", "kind = \"batch_norm\"\nmomentum = 1.5", 25, &["momentum = 1.5", "from 0 to 1"]),
    ("batch = 64", "batch = 0", 35, &["[train]: batch = 0"]),
    ("batch = 64", "batch = 4", 35, &["\"bn0\"", "1293 images"]),
    ("batch = 64", "batch = 2000\ndrop_last = true", 35, &["no batch is left of the 1293"]),
    ("epochs = 20", "epochs = 0", 36, &["epochs = 0"]),
    ("epochs = 20", "epochs = 20\nsteps = 4", 37, &["not both"]),
    ("epochs = 20\n", "", 34, &["either epochs or steps"]),
    ("epochs = 20", "epochs = 20\nseed = -3", 37, &["seed = -3"]),
    ("lr = 0.05", "lr = inf", 40, &["lr = inf", "finite number above 0"]),
    ("lr = 0.05", "lr = nan", 40, &["lr = nan"]),
    ("lr = 0.05", "lr = 0", 40, &["lr = 0"]),
    ("lr = 0.05", "lr = 1e60", 40, &["lr = 1e60"]),
    ("lr = 0.05", "", 38, &["[train.optimizer] (sgd): lr is missing"]),
    ("lr = 0.05", "lr = 0.05\nmomentum = 1.0", 41, &["momentum = 1.0", "below 1"]),
    ("lr = 0.05", "lr = 0.05\nweight_decay = -1", 41, &["weight_decay = -1"]),
    ("kind = \"sgd\"", "kind = \"lamb\"", 39, &["kind = \"lamb\"", "expected one of sgd, adam, adamw, bop"]),
    // Data that does not match the model.
    ("set = \"digits\"", "set = \"imagenet2\"", 32, &["set = \"imagenet2\"", "digits, cifar10"]),
    ("set = \"digits\"", "set = \"mnist\"", 32, &["set = \"mnist\"", "did you mean \"idx\" (MNIST, "]),
    ("set = \"digits\"", "set = \"cifar10\"", 2, &["input = [1, 8, 8]", "[3, 32, 32]"]),
    (
        "set = \"digits\"",
        "set = \"digits\"\ndir = \"x\"",
        33,
        &["\"dir\", which only cifar10, cifar100, idx and folder have"],
    ),
    ("set = \"digits\"", "set = \"folder\"\ndir = \"\"", 33, &["name the folder"]),
    ("input = [1, 8, 8]", "input = [2, 8, 8]", 2, &["channels, height, width [1, 8, 8]"]),
    ("set = \"digits\"", "set = \"digits\"\nscale = [0, 1]", 33, &["must not be 0"]),
    ("set = \"digits\"", "set = \"digits\"\nscale = 2", 33, &["[a, b]"]),
    ("classes = 10", "classes = 11", 26, &["10×1×1 = 10 values, but there are 11 classes", "units = 11"]),
    // Layers that do not fit.
    ("kernel = 2", "kernel = 9", 17, &["\"pool1\" (max_pool)", "9×9 kernel is larger than its input 16×8×8"]),
    ("kernel = 2", "kernel = 2\npadding = 2", 17, &["padding 2×2"]),
    ("kernel = 2", "kernel = 2\nfrom = \"cnov1\"", 21, &["from = \"cnov1\"", "does not exist", "\"conv1\", \"q1\""]),
    ("kernel = 2", "kernel = 2\nfrom = \"fc\"", 21, &["does not come before"]),
    ("kernel = 2", "kernel = 2\nfrom = \"conv1\"", 12, &["\"q1\"", "no later layer takes its output"]),
    ("kernel = 2", "kernel = 2\nfrom = [\"q1\", \"conv1\"]", 17, &["exactly one input, not 2"]),
    ("name = \"q1\"", "name = \"conv1\"", 12, &["unique"]),
    ("name = \"q1\"", "name = \"q/1\"", 12, &["letters"]),
    ("kind = \"max_pool\"\nkernel = 2", "kind = \"add\"", 17, &["\"pool1\" (add)", "from = [\"a\", \"b\"]"]),
    ("kind = \"batch_norm\"", "kind = \"add\"\nfrom = [\"q1\", \"pool1\"]", 22, &["16×8×8 and 16×4×4"]),
    ("padding = 1", "alpha = \"layer\"", 10, &["alpha = \"layer\"", "no meaning with"]),
    ("padding = 1", "weights = \"binary\"\nbias = true", 5, &["no bias"]),
];

#[test]
fn every_mistake_is_one_clear_error() {
    for &(right, mistake, line, parts) in WRONG {
        assert_eq!(RIGHT.matches(right).count(), 1, "{right} must stand in the recipe once");
        let mut text = RIGHT.replace(right, mistake);
        if parts.contains(&"\"bn0\"") {
            // After the last layer, batch-norm has one value per image and channel.
            text = text.replace("name = \"fc\"\nkind = \"linear\"", "name = \"g\"\nkind = \"linear\"");
            text = text.replace("[data]", "[[model.layers]]\nname = \"bn0\"\nkind = \"batch_norm\"\n[data]");
        }
        let (at, message) = wrong(&text);
        for part in parts {
            assert!(message.contains(part), "{mistake}: {message}\nshould say {part}");
        }
        let moved = if parts.contains(&"\"bn0\"") { 3 } else { 0 };
        assert_eq!(at, line + moved, "{mistake}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

/// The line of the file and a mark, below the message.
#[test]
fn errors_show_the_line_with_a_mark() {
    let cases: &[(&str, &str, &str)] = &[
        ("filters = 16", "filtres = 16", "\n  8 | filtres = 16\n    | ^^^^^^^"),
        ("filters = 16", "\tfilters = 0 # none", "\n  8 |     filters = 0 # none\n    |               ^"),
        ("kind = \"hwgq\"", "kind = \"量子化\" # 量", "\n  14 | kind = \"量子化\" # 量\n     |        ^^^^^^^^"),
        ("kind = \"hwgq\"", "", "\n  12 | [[model.layers]]\n     | ^^^^^^^^^^^^^^^^"),
        ("lr = 0.05", "lr = ", "\n  40 | lr =\n     |      ^"),
        ("lr = 0.05", "lr = 0.05\nmomentum = 1", "\n  41 | momentum = 1\n     |            ^"),
        ("classes = 10", "classes = 10\nclasses = 11", "\n  4 | classes = 11\n    | ^^^^^^^"),
        ("kernel = 2", "kernel = 2\nfrom = \"cnov1\"", "\n  21 | from = \"cnov1\"\n     |        ^^^^^^^"),
        ("[data]\nset = \"digits\"\n", "", ""),
    ];
    for (right, mistake, excerpt) in cases {
        let error = Recipe::parse(&RIGHT.replace(right, mistake), "test.toml").unwrap_err();
        let text = error.to_string();
        let Error::Recipe { message, excerpt: found, .. } = error else { panic!("{text}") };
        assert_eq!(&found, excerpt, "{text}");
        assert!(text.ends_with(&format!(": {message}{excerpt}")) && !message.contains('\n'), "{text}");
    }
}

#[test]
fn what_is_no_recipe_at_all_is_one_error_too() {
    for (text, part) in [("", "[model] is missing"), ("\0", "not valid TOML"), ("model = 3", "write it as a table")] {
        assert!(wrong(text).1.contains(part), "{}", wrong(text).1);
    }
    let layerless = RIGHT.split("[[model.layers]]").next().unwrap().to_owned();
    let rest = &RIGHT[RIGHT.find("[data]").unwrap()..];
    assert_eq!(
        wrong(&(layerless.clone() + rest)),
        (1, "the model has no layers: add at least one [[model.layers]]".into())
    );
    assert!(wrong(&(layerless + "layers = [1]\n" + rest)).1.contains("[[model.layers]]"));
}

#[test]
fn no_cut_or_change_of_a_recipe_panics() {
    let text = builtin("digits").unwrap();
    for end in (0..text.len()).step_by(7).filter(|&end| text.is_char_boundary(end)) {
        let _ = Recipe::parse(&text[..end], "cut.toml");
        let _ = Recipe::parse(&(text[..end].to_owned() + "]" + &text[end..]), "changed.toml");
        let _ = Recipe::parse(&(text[..end].to_owned() + "9" + &text[end..]), "changed.toml");
    }
}
