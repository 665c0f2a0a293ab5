//! Words that were probably meant: similar ones, those that other frameworks use, and keys of another
//! section.

use crate::schema::{Form, Section};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Words of recipes, each with words that other frameworks use for it. Case and underscores are
/// ignored.
const FOREIGN: &[(&str, &[&str])] = &[
    // Sections.
    ("model", &["net", "network", "architecture"]),
    ("data", &["dataset", "datasets"]),
    ("train", &["training", "trainer", "fit"]),
    ("optimizer", &["optim", "optimiser", "opt"]),
    ("schedule", &["scheduler", "lr_scheduler", "lr_schedule"]),
    ("loss", &["criterion", "objective", "loss_fn"]),
    ("augment", &["augmentation", "augmentations", "transforms"]),
    ("extends", &["base", "inherit", "inherits", "parent", "include", "extend"]),
    ("change", &["changes", "override", "overrides"]),
    // Keys.
    ("lr", &["learning_rate", "rate", "base_lr", "initial_lr", "lr0", "eta"]),
    ("batch", &["batch_size", "bs", "minibatch", "train_batch_size"]),
    ("epochs", &["epoch", "num_epochs", "n_epochs", "max_epochs"]),
    ("steps", &["max_steps", "num_steps", "iterations", "iters", "max_iter"]),
    ("patience", &["early_stopping", "early_stop"]),
    ("weight_decay", &["wd", "l2", "decay", "l2_reg"]),
    ("clip_norm", &["grad_clip", "gradient_clip", "gradient_clip_val", "clip_grad_norm", "max_grad_norm", "max_norm"]),
    (
        "accumulate",
        &[
            "grad_accum",
            "gradient_accumulation",
            "gradient_accumulation_steps",
            "accumulation_steps",
            "accumulate_grad_batches",
        ],
    ),
    ("precision", &["amp", "fp16", "mixed_precision", "dtype"]),
    ("seed", &["random_seed", "random_state", "manual_seed"]),
    ("drop_last", &["drop_remainder"]),
    ("evaluate_every", &["eval_every", "eval_interval", "val_every", "check_val_every_n_epoch"]),
    ("keep", &["save_total_limit", "max_to_keep", "keep_checkpoints"]),
    ("warmup_steps", &["warmup", "num_warmup_steps"]),
    ("milestones", &["boundaries"]),
    ("factor", &["gamma", "decay_rate", "lr_decay"]),
    ("every", &["step_size"]),
    ("beta1", &["beta_1", "b1"]),
    ("beta2", &["beta_2", "b2"]),
    ("eps", &["epsilon"]),
    ("set", &["dataset", "data_set"]),
    ("dir", &["path", "root", "data_dir", "folder", "directory"]),
    ("validation", &["val_split", "validation_split", "valid_split", "val_fraction"]),
    ("limit", &["max_samples", "num_samples", "subset"]),
    ("mirror", &["flip", "hflip", "horizontal_flip", "random_flip", "random_horizontal_flip"]),
    ("pad", &["random_crop", "crop_padding"]),
    ("classes", &["num_classes", "n_classes"]),
    ("input", &["input_shape", "input_size", "image_size"]),
    ("layers", &["layer", "modules"]),
    ("kind", &["type", "op", "class"]),
    ("from", &["inputs", "input", "source", "bottom"]),
    ("filters", &["out_channels", "channels", "features", "num_filters"]),
    ("units", &["out_features", "neurons", "hidden", "hidden_size"]),
    ("kernel", &["kernel_size", "filter_size", "pool_size", "window"]),
    ("stride", &["strides"]),
    ("padding", &["pad", "pads"]),
    ("dilation", &["dilation_rate"]),
    ("bits", &["num_bits", "n_bits", "bit_width"]),
    ("rate", &["p", "prob", "drop_rate", "dropout_rate"]),
    // Kinds and other values.
    ("linear", &["dense", "fc", "fully_connected", "gemm"]),
    ("conv", &["conv2d", "convolution", "convolution2d"]),
    ("batch_norm", &["bn", "batchnorm2d", "batch_normalization"]),
    ("max_pool", &["maxpool2d", "maxpooling2d", "max_pooling"]),
    ("avg_pool", &["avgpool2d", "averagepooling2d", "average_pool", "mean_pool"]),
    ("global_avg_pool", &["gap", "adaptiveavgpool2d", "globalaveragepooling2d", "global_average_pool"]),
    ("concat", &["cat", "concatenate"]),
    ("silu", &["swish"]),
    ("clipped_relu", &["relu6"]),
    ("idx", &["mnist", "fashion_mnist", "kmnist", "emnist", "qmnist"]),
    ("cifar10", &["cifar"]),
    ("folder", &["image_folder", "imagenet", "directory"]),
    ("npz", &["medmnist", "numpy"]),
    (
        "softmax_cross_entropy",
        &[
            "cross_entropy",
            "cross_entropy_loss",
            "ce",
            "nll",
            "categorical_crossentropy",
            "sparse_categorical_crossentropy",
        ],
    ),
    ("sigmoid_cross_entropy", &["bce", "binary_cross_entropy", "binary_crossentropy", "bce_with_logits"]),
    ("squared_error", &["mse", "mse_loss", "mean_squared_error"]),
    ("squared_hinge", &["hinge", "l2_svm", "svm"]),
    ("sgd", &["momentum", "nesterov", "sgd_momentum", "gradient_descent"]),
    ("step", &["step_lr"]),
    ("multi_step", &["multi_step_lr", "piecewise"]),
    ("cosine", &["cosine_annealing", "cosine_annealing_lr", "cosine_decay"]),
    ("exponential", &["exponential_lr", "exp"]),
    ("polynomial", &["poly"]),
    ("mixed", &["fp16", "f16", "float16", "half", "amp"]),
    ("f32", &["fp32", "float32", "single", "full"]),
    ("replicate", &["edge"]),
    ("synchronised", &["sync", "synced", "sync_bn", "sync_batch_norm", "synchronized", "global"]),
];

/// The word of `known` that was probably meant, or all of them.
pub(super) fn suggest(found: &str, known: &[&str]) -> String {
    match meant(found, known) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => expected(known),
    }
}

/// The words of which one is expected.
pub(super) fn expected(known: &[&str]) -> String {
    match known {
        [only] => format!("expected {only}"),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

/// The word of `known` that was probably meant, if one means the same, goes on or is similar.
pub(super) fn meant<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut longer = known.iter().filter(|word| word.strip_prefix(found).is_some_and(|rest| rest.starts_with('_')));
    let only = longer.next().filter(|_| longer.next().is_none()).copied();
    synonym(found, known).or(only).or_else(|| nearest(found, known))
}

/// The word of `known` that is written in another way, or that other frameworks call so.
pub(super) fn synonym<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |word: &str| word.replace(['_', '-', ' ', '.'], "").to_lowercase();
    let is_found = |word: &str| plain(word) == plain(found);
    let other = || {
        let rows = FOREIGN.iter().filter(|(_, foreign)| foreign.iter().any(|word| is_found(word)));
        rows.into_iter().find_map(|(own, _)| known.iter().find(|word| *word == own))
    };
    known.iter().find(|word| is_found(word)).or_else(other).copied()
}

/// The word of `known` that was probably meant, if one is similar.
pub fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let (changes, word) = known.iter().map(|word| (strsim::levenshtein(found, word), *word)).min()?;
    (changes <= 1 + found.len().min(word.len()) / 4).then_some(word)
}

/// What may be written in a recipe, and where.
struct Word {
    word: &'static str,
    /// The table that contains it: "train.optimizer".
    table: String,
    /// The word at its place, for a message.
    shown: String,
}

static WORDS: LazyLock<Vec<Word>> = LazyLock::new(|| {
    let mut words = Vec::new();
    add(&mut words, "", false, &super::schema());
    let change = Word { word: "change", table: "model".into(), shown: "[[model.change]]".into() };
    words.push(change);
    words
});

/// Adds the keys and kinds of a table and of all tables in it.
fn add(words: &mut Vec<Word>, table: &str, is_list: bool, section: &Section) {
    let below = |name: &str| if table.is_empty() { name.to_string() } else { format!("{table}.{name}") };
    let place = if is_list { format!("[[{table}]]") } else { format!("[{table}]") };
    let mut seen = BTreeSet::new();
    let mut push = |word: &'static str, shown: String| {
        if seen.insert(shown.clone()) {
            words.push(Word { word, table: table.to_string(), shown });
        }
    };
    let key = |name: &str| if is_list { format!("{name} in {place}") } else { below(name) };
    if let Some(kind) = section.kind {
        push(kind.name, key(kind.name));
        for variant in &section.variants {
            push(variant.name, format!("{} = \"{}\" in {place}", kind.name, variant.name));
        }
    }
    let entries = || section.variants.iter().flat_map(|variant| &variant.entries);
    for entry in entries() {
        push(
            entry.key.name,
            match &entry.form {
                Form::Table(_) => format!("[{}]", below(entry.key.name)),
                Form::Tables(_) => format!("[[{}]]", below(entry.key.name)),
                _ => key(entry.key.name),
            },
        );
    }
    let mut inner = BTreeSet::new();
    for entry in entries() {
        if let Some(section) = entry.form.table().filter(|_| inner.insert(entry.key.name)) {
            add(words, &below(entry.key.name), matches!(entry.form, Form::Tables(_)), section);
        }
    }
}

/// The most places that a message names.
const MOST_PLACES: usize = 2;

/// What was probably meant by a key that a table does not have: a key or kind of another table.
/// `path` is the table's name, with positions in lists: "model.layers.3"; keys of layers are named
/// as in an option if it is one.
pub(super) fn elsewhere(found: &str, path: &str, in_option: bool) -> Option<String> {
    let is_position = |part: &&str| part.parse::<usize>().is_err();
    let table = path.split('.').filter(is_position).collect::<Vec<_>>().join(".");
    let others: Vec<&Word> = WORDS.iter().filter(|word| word.table != table).collect();
    let names: Vec<&'static str> = others.iter().map(|word| word.word).collect();
    // Short words are similar to too many.
    let similar = || if found.len() >= 5 { nearest(found, &names) } else { None };
    let exact = names.iter().find(|name| **name == found).copied();
    let word = exact.or_else(|| synonym(found, &names)).or_else(similar)?;
    let mut places: Vec<&Word> = others.into_iter().filter(|other| other.word == word).collect();
    // Tables in this one are more probable.
    let inside = |word: &&Word| !table.is_empty() && word.table.starts_with(&format!("{table}."));
    if places.iter().any(inside) {
        places.retain(inside);
    }
    let shown = |word: &&Word| match word.shown.split_once(" in [[model.layers]]") {
        Some((key, _)) if in_option => format!("layers.NAME.{}", key.replace([' ', '"'], "")),
        _ => word.shown.clone(),
    };
    let shown: Vec<_> = places.iter().map(shown).collect();
    (shown.len() <= MOST_PLACES).then(|| format!("did you mean {}?", shown.join(", or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(suggest("filtres", &["kernel", "filters"]), "did you mean \"filters\"?");
        assert_eq!(suggest("dilation", &["kernel", "filters"]), "expected one of kernel, filters");
    }

    #[test]
    fn other_frameworks_words_are_known() {
        for (found, known, word) in [
            ("Dense", &["conv", "linear"][..], "linear"),
            ("Conv2d", &["conv", "linear"], "conv"),
            ("BatchNorm", &["batch_norm", "conv"], "batch_norm"),
            ("SGD", &["adam", "sgd"], "sgd"),
            ("AdamW", &["adam", "adamw", "sgd"], "adamw"),
            ("learning-rate", &["lr", "momentum"], "lr"),
            ("pad", &["padding"], "padding"),
            ("lr", &["match", "lr_scale"], "lr_scale"),
            ("mnist", &["cifar10", "idx"], "idx"),
        ] {
            assert_eq!(meant(found, known), Some(word), "{found}");
        }
        assert_eq!(meant("mnist", &["cifar10"]), None);
    }

    /// Every row of the table is about a word that recipes have, which no row lists for itself.
    #[test]
    fn the_table_of_other_words_is_about_recipes() {
        let values = |section: &Section| {
            fn collect(section: &Section, all: &mut BTreeSet<&'static str>) {
                for entry in section.variants.iter().flat_map(|variant| &variant.entries) {
                    match &entry.form {
                        Form::Words(words) | Form::WordOr(words, _) => all.extend(words.iter().copied()),
                        form => form.table().into_iter().for_each(|inner| collect(inner, all)),
                    }
                }
            }
            let mut all = BTreeSet::new();
            collect(section, &mut all);
            all
        };
        let mut known = values(&crate::recipe::schema());
        known.extend(WORDS.iter().map(|word| word.word));
        known.insert("extends");
        let mut seen = BTreeSet::new();
        for (own, foreign) in FOREIGN {
            assert!(known.contains(own), "{own} is not a word used in recipes");
            assert!(seen.insert(own), "{own} has two rows");
            assert!(!foreign.contains(own), "{own}");
        }
    }

    #[test]
    fn keys_of_other_sections_are_found() {
        for (found, path, expected) in [
            ("lr", "train", "did you mean train.optimizer.lr?"),
            ("learning_rate", "train", "did you mean train.optimizer.lr?"),
            ("lr", "", "did you mean train.optimizer.lr?"),
            ("momentum", "train", "did you mean train.optimizer.momentum?"),
            ("optimizer", "", "did you mean [train.optimizer]?"),
            ("filters", "model", "did you mean filters in [[model.layers]]?"),
            ("lr_scale", "train.optimizer", "did you mean lr_scale in [[train.optimizer.groups]]?"),
            ("classes", "data", "did you mean model.classes?"),
            ("dropout", "train", "did you mean kind = \"dropout\" in [[model.layers]]?"),
            ("batch_size", "data", "did you mean train.batch?"),
            ("early_stopping", "", "did you mean train.patience?"),
            ("shuffel", "train", "did you mean data.shuffle?"),
            ("change", "", "did you mean [[model.change]]?"),
            ("seed", "model.layers.3", "did you mean train.seed?"),
        ] {
            assert_eq!(elsewhere(found, path, false).as_deref(), Some(expected), "{found} in {path}");
        }
        for (found, expected) in [("bits", "layers.NAME.bits"), ("relu", "layers.NAME.kind=relu")] {
            assert_eq!(elsewhere(found, "", true), Some(format!("did you mean {expected}?")));
        }
        // A layer's own key, what nothing has, and what too many tables have.
        for (found, path) in [("filters", "model.layers.3"), ("frobnicate", "train"), ("kind", "data")] {
            assert_eq!(elsewhere(found, path, false), None, "{found} in {path}");
        }
    }
}
