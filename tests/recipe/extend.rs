//! Recipes that extend others: the replacement of keys, and the file and line of every error.
use super::{Error, Recipe, builtin};
use halfwave::model::{Alpha, Form, Layer, LayerKind, Levels, Surrogate, WeightGradient, Weights};
use halfwave::recipe::{Folder, Length, Optimizer, Pictures};

fn digits() -> Recipe {
    Recipe::digits()
}

fn right(text: &str) -> Recipe {
    let recipe = Recipe::parse(text, "test.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let resolved = recipe.to_toml();
    assert!(!resolved.contains("extends") && !resolved.contains("change"), "{resolved}");
    assert_eq!(Recipe::parse(&resolved, "resolved.toml").unwrap(), recipe, "{resolved}");
    recipe
}

fn layer<'r>(recipe: &'r Recipe, name: &str) -> &'r Layer {
    recipe.model.layers.iter().find(|layer| layer.name == name).unwrap_or_else(|| panic!("no layer {name}"))
}

#[test]
fn what_is_not_said_stays() {
    let same = right("extends = \"digits\"\n");
    assert_eq!(same, digits());
    assert!(same.model.layers.iter().all(|layer| layer.line == 0));

    let mut changed =
        right("extends = \"digits\"\n\n[train]\nsteps = 7\noptimizer.lr = 0.5\n\n[data]\nshuffle = false\n");
    assert_eq!((changed.train.length, changed.data.shuffle), (Length::Steps(7), false));
    let base = digits();
    assert_eq!(changed.train.optimizer, Optimizer { lr: 0.5, ..base.train.optimizer.clone() });
    (changed.train, changed.data.shuffle) = (base.train.clone(), base.data.shuffle);
    assert_eq!(changed, base);

    // A different kind of optimiser or a different set replaces the table completely.
    let anew =
        right("extends = \"vgg-small\"\n[train.optimizer]\nkind = \"adam\"\nlr = 1e-3\n[data]\nset = \"folder\"\n");
    assert_eq!((anew.train.optimizer.name(), anew.train.optimizer.weight_decay), ("adam", 0.0));
    assert_eq!(
        anew.data.set,
        Folder { dir: "images".into(), image: [3, 32, 32], classes: 10, pictures: Pictures::default() }.into()
    );
    assert_eq!(anew.data.scale, [1.0 / 255.0, 0.0]);
}

#[test]
fn layers_change_by_name_and_by_key() {
    let base = digits();
    let recipe = right(
        "extends = \"digits\"\n\
         [[model.change]]\nmatch = \"q*\"\nkind = \"sign\"\nsurrogate = \"polynomial\"\n\
         [[model.change]]\nmatch = { kind = \"conv\", weights = \"binary\" }\nalpha = \"layer\"\n",
    );
    let mut seen = [0, 0];
    for (now, before) in recipe.model.layers.iter().zip(&base.model.layers) {
        assert_eq!((&now.name, &now.from), (&before.name, &before.from));
        match (&now.kind, &before.kind) {
            (LayerKind::Sign(sign), LayerKind::Hwgq(_)) => {
                assert_eq!((sign.surrogate, now.line), (Surrogate::Polynomial, 2));
                seen[0] += 1;
            }
            (LayerKind::Conv(now), LayerKind::Conv(before)) if before.weights == Weights::BINARY => {
                assert_eq!(
                    now.weights,
                    Weights::of(Form::Binary { alpha: Alpha::Layer, gradient: WeightGradient::Identity })
                );
                assert_eq!((now.filters, now.kernel), (before.filters, before.kernel));
                seen[1] += 1;
            }
            (now, before) => assert_eq!(now, before),
        }
    }
    assert_eq!(seen, [2, 2]);
    // The base sets bits = 2, which has no meaning with a list; in the recipe itself it would be an
    // error.
    let list = right("extends = \"digits\"\n[[model.change]]\nmatch = [\"q1\", \"q2\"]\nlevels = [0.5, 1]\n");
    let levels =
        |name| matches!(&layer(&list, name).kind, LayerKind::Hwgq(v) if v.levels == Levels::List(vec![0.5, 1.0]));
    assert!(levels("q1") && levels("q2"));
}

#[test]
fn a_removed_layer_leaves_its_input_to_its_readers() {
    let base = digits();
    let at = base.model.layers.iter().position(|layer| layer.name == "bn1").unwrap();
    let recipe = right("extends = \"digits\"\n[[model.change]]\nmatch = \"bn1\"\nremove = true\n");
    assert_eq!(recipe.model.layers.len(), base.model.layers.len() - 1);
    assert_eq!(recipe.model.layers[at].from, base.model.layers[at].from);
    let first = right("extends = \"digits\"\n[[model.change]]\nmatch = [\"conv1\", \"bn1\"]\nremove = true\n");
    assert_eq!(first.model.layers[0].from, ["input"]);

    // References to a removed layer are replaced, also in lists.
    let base = Recipe::parse(builtin("resnet20").unwrap(), "resnet20").unwrap();
    let sum = base.model.layers.iter().find(|layer| layer.from.len() > 1).unwrap();
    let [gone, other] = [&sum.from[0], &sum.from[1]];
    let text = format!("extends = \"resnet20\"\n[[model.change]]\nmatch = \"{gone}\"\nremove = true\n");
    assert_eq!(layer(&right(&text), &sum.name).from, [layer(&base, gone).from[0].clone(), other.clone()]);
    let text = format!("extends = \"resnet20\"\n[[model.change]]\nmatch = \"{}\"\nremove = true\n", sum.name);
    let message = Recipe::parse(&text, "test.toml").unwrap_err().to_string();
    assert!(message.starts_with("test.toml:2: ") && message.contains("several inputs"), "{message}");
}

#[test]
fn every_mistake_has_its_own_file_and_line() {
    let change = |rest: &str| format!("extends = \"digits\"\n[[model.change]]\nmatch = \"q1\"\n{rest}\n");
    let cases = [
        ("extends = \"digit\"".to_string(), "test.toml", 1, "did you mean \"digits\"?"),
        ("extends = \"digits\"\n[trian]\nbatch = 3".into(), "test.toml", 2, "did you mean \"train\"?"),
        ("extends = \"digits\"\n[train]\nbatchs = 3".into(), "test.toml", 3, "did you mean \"batch\"?"),
        ("extends = \"digits\"\n[train]\nbatch = 0".into(), "test.toml", 3, "[train]: batch = 0: give"),
        ("extends = \"digits\"\n[train]\nepochs = 3\nsteps = 3".into(), "test.toml", 4, "not both"),
        ("extends = \"digits\"\n[train.optimizer]\nkind = \"adam\"".into(), "test.toml", 2, "lr is missing"),
        ("extends = \"digits\"\n[model]\nlayers = [3]".into(), "test.toml", 3, "[[model.layers]]"),
        (change("bitz = 3"), "test.toml", 4, "layer \"q1\" (hwgq): unknown key \"bitz\"; did you mean \"bits\"?"),
        (change("bits = 9"), "test.toml", 4, "layer \"q1\" (hwgq): bits = 9: give a whole number from 1 to 4"),
        (change("levels = [1, 2]\nbits = 2"), "test.toml", 5, "no meaning with"),
        (change("kind = \"conv\""), "test.toml", 2, "layer \"q1\" (conv): filters is missing"),
        (change("kind = \"hwqg\""), "test.toml", 4, "did you mean \"hwgq\"?"),
        (change("name = \"q2\""), "test.toml", 4, "keeps its name"),
        (change("remove = 1"), "test.toml", 4, "write true"),
        (change("remove = true\nbits = 1"), "test.toml", 2, "has no other keys"),
        (change("").replace("q1", "z*"), "test.toml", 3, "there are conv1, bn1, q1"),
        (change("").replace("\"q1\"", "7"), "test.toml", 3, "match: give a name"),
        (change("").replace("match", "bits"), "test.toml", 2, "match is missing"),
        ("extends = \"digits\"\nmodel.change = 3".into(), "test.toml", 2, "write each as a table"),
        ("extends = \"digits\"\nmodel.change = [3]".into(), "test.toml", 2, "write each as a table"),
        (
            builtin("digits").unwrap().replacen("[model]", "[model]\nchange = []", 1),
            "test.toml",
            4,
            "nothing to change",
        ),
        // The layer that no longer fits is in the other file, the cause is in this one.
        (
            "extends = \"digits\"\n[model]\nclasses = 11".into(),
            "test.toml",
            3,
            "but there are 11 classes; end with a linear layer of units = 11; \
             add [[model.change]] with match = \"fc\" and units = 11",
        ),
        (change("units = 12").replace("q1", "fc"), "test.toml", 4, "= 12 values, but there are 10 classes"),
        (change("kernel = 99").replace("q1", "pool2"), "test.toml", 4, "kernel is larger than its input"),
        ("extends = \"digits\"\nmodel.input = [1, 1, 1]".into(), "test.toml", 2, "this depends on model.input"),
        (
            "extends = \"vgg-small\"\n[data]\nset = \"cifar100\"".into(),
            "test.toml",
            3,
            "set = \"cifar100\": it does not fit the model",
        ),
        ("extends = \"digits\"\nmodel.input = [1, 9, 9]".into(), "test.toml", 2, "channels, height, width [1, 8, 8]"),
    ];
    for (text, wanted_file, wanted_line, part) in cases {
        match Recipe::parse(&text, "test.toml") {
            Err(Error::Recipe { file, line, message, .. }) => {
                assert!(message.contains(part), "{message}\nshould say {part}");
                assert_eq!(file, wanted_file, "{message}");
                assert_eq!(line, wanted_line, "{message}\n{text}");
            }
            other => panic!("expected a recipe error, not {other:?}, from\n{text}"),
        }
    }
}
