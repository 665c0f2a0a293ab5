//! The experiments as data: what each arm changes.
//!
//! Arms match layers by the names that `digits` and `vgg-small` share (`q*` are the quantisers) and
//! by their weights, so that one change applies to every base recipe. An arm that corresponds to a
//! built-in variant of `vgg-small` uses the changes of that variant.

use super::published::{self, Published};
use super::{Experiment, Preset, builtin};

/// One of the networks that an experiment compares.
#[derive(Debug)]
pub struct Arm {
    /// Name of the arm, used in the names of its runs.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    change: Change,
    /// The built-in network used instead in the published setting, and the changes to it.
    own: Option<(&'static str, &'static [&'static str])>,
    published: Option<Published>,
}

/// What an arm changes in the base recipe.
#[derive(Debug)]
enum Change {
    /// The changes that a built-in recipe makes to `vgg-small`.
    As(&'static str),
    /// These parts of a recipe.
    To(&'static [&'static str]),
}

impl Arm {
    const fn new(name: &'static str, about: &'static str, change: Change) -> Self {
        Self { name, about, change, own: None, published: None }
    }

    const fn published(self, published: Published) -> Self {
        Self { published: Some(published), ..self }
    }

    const fn own(self, network: &'static str, changes: &'static [&'static str]) -> Self {
        Self { own: Some((network, changes)), ..self }
    }

    /// Returns the published accuracy, if there is one.
    pub fn known(&self) -> Option<&Published> {
        self.published.as_ref()
    }

    /// Returns the name of the built-in recipe that the arm changes, in the given experiment.
    pub fn base(&self, experiment: &str, preset: &Preset) -> &'static str {
        self.own.filter(|_| preset.published).map_or(preset.base(experiment), |(network, _)| network)
    }

    /// Returns the arm's recipe without the preset's settings.
    pub(super) fn text(&self, experiment: &str, preset: &Preset) -> String {
        let extends = format!("extends = \"{}\"\n", self.base(experiment, preset));
        match (&self.own, &self.change) {
            (Some((_, changes)), _) if preset.published => extends + &changes.concat(),
            (_, Change::To(changes)) => extends + &changes.concat(),
            (_, Change::As(variant)) => builtin(variant).replacen("extends = \"vgg-small\"\n", &extends, 1),
        }
    }
}

/// A change of layers, in the syntax of a recipe.
macro_rules! change {
    ($layers:literal, $keys:literal) => {
        concat!("[[model.change]]\nmatch = ", $layers, "\n", $keys, "\n")
    };
    ($keys:literal) => {
        change!("'q*'", $keys)
    };
}

const FLOAT_WEIGHTS: &str = change!("{ weights = 'binary' }", "weights = 'float'");

/// The changes of BinaryNet to the inner layers, except their order.
const BINARY_NET: &[&str] = &[
    change!("kind = 'sign'"),
    change!("{ weights = 'binary' }", "alpha = 'none'\nclip_weights = true"),
    "[train.loss]\nkind = 'squared_hinge'\n[train.optimizer]\nkind = 'adam'\nlr = 1e-3\n",
];

/// The authors' augmentation, random shifts and mirroring, which VGG-11's recipe omits.
const AUGMENTED: &str = "[data.augment]\npad = 4\nmirror = true\n";

/// HWGQ as published: the base recipe itself.
const fn hwgq(name: &'static str, about: &'static str) -> Arm {
    Arm::new(name, about, Change::To(&[])).published(published::HWGQ)
}

const fn float() -> Arm {
    Arm::new("float", "float weights, ReLU", Change::As("vgg-small-float")).published(published::FLOAT)
}

const fn signs(name: &'static str, about: &'static str) -> Arm {
    Arm::new(name, about, Change::As("vgg-small-bw-sign"))
}

pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "activations",
        about: "float activations with binary weights, compared",
        notes: &[
            "All weights except those of the first and last layers are binary; the activation before the last layer is ReLU in every arm.",
            "The clipping point of clipped and log-tailed ReLU is 1.614, the highest level of 2-bit HWGQ.",
        ],
        arms: &[
            Arm::new("tanh", "tanh(x)", Change::To(&[change!("kind = 'tanh'")])),
            Arm::new("hard-tanh", "min(max(x, −1), 1)", Change::To(&[change!("kind = 'hard_tanh'")])),
            Arm::new("sigmoid", "1/(1 + e^−x)", Change::To(&[change!("kind = 'sigmoid'")])),
            Arm::new("relu", "max(x, 0)", Change::As("vgg-small-bw")).published(published::BWN),
            Arm::new("clipped-relu", "min(max(x, 0), 1.614)", Change::To(&[change!("kind = 'clipped_relu'")])),
            Arm::new(
                "log-tailed-relu",
                "ReLU, logarithmic beyond 1.614",
                Change::To(&[change!("kind = 'log_tailed_relu'")]),
            ),
        ],
        epochs: None,
    },
    Experiment {
        name: "low-bit",
        about: "the cost of low precision: floats, binary weights (BW), BW + sign, BW + HWGQ",
        notes: &["The first and last layers have float weights in every arm."],
        arms: &[
            float(),
            Arm::new("bw", "1-bit weights, ReLU", Change::As("vgg-small-bw")).published(published::BWN),
            signs("bw-sign", "1-bit weights, 1-bit activations ±1"),
            hwgq("bw-hwgq", "1-bit weights, 2-bit HWGQ"),
        ],
        epochs: None,
    },
    Experiment {
        name: "surrogates",
        about: "surrogate gradients of 2-bit HWGQ in the backward pass, compared",
        notes: &[
            "Arms without a suffix have binary weights, the setting of Cai et al. (2017); those with -float have float weights with the same codes.",
            "The published numbers are for float weights on VGG-11: the network of the -float arms in the preset paper and, with a quarter of its filters, of all arms in the preset small. Published order: identity, vanilla, clipped; clipped and log-tailed are close.",
        ],
        arms: &[
            Arm::new("identity", "1-bit weights, x", Change::To(&[change!("surrogate = 'identity'")])),
            Arm::new("vanilla", "1-bit weights, max(x, 0)", Change::To(&[change!("surrogate = 'vanilla'")])),
            hwgq("clipped", "1-bit weights, min(max(x, 0), q)"),
            Arm::new("log-tailed", "1-bit weights, log above q", Change::To(&[change!("surrogate = 'log_tailed'")])),
            Arm::new(
                "identity-float",
                "float weights, x",
                Change::To(&[change!("surrogate = 'identity'"), FLOAT_WEIGHTS]),
            )
            .own("vgg11", &[change!("surrogate = 'identity'"), AUGMENTED])
            .published(published::vgg11(86.58)),
            Arm::new(
                "vanilla-float",
                "float weights, max(x, 0)",
                Change::To(&[change!("surrogate = 'vanilla'"), FLOAT_WEIGHTS]),
            )
            .own("vgg11", &[change!("surrogate = 'vanilla'"), AUGMENTED])
            .published(published::vgg11(88.69)),
            Arm::new("clipped-float", "float weights, min(max(x, 0), q)", Change::To(&[FLOAT_WEIGHTS]))
                .own("vgg11", &[AUGMENTED])
                .published(published::vgg11(90.92)),
            Arm::new(
                "log-tailed-float",
                "float weights, log above q",
                Change::To(&[change!("surrogate = 'log_tailed'"), FLOAT_WEIGHTS]),
            )
            .own("vgg11", &[change!("surrogate = 'log_tailed'"), AUGMENTED]),
        ],
        epochs: None,
    },
    Experiment {
        name: "bit-width",
        about: "HWGQ with 1, 2, 3, 4 and 32 bits, uniform and Lloyd's levels, with binary weights",
        notes: &[
            "Lloyd's levels minimise the squared error for a half-wave Gaussian; with one bit there is one level, so both are the same.",
            "32 bits are ReLU in f32.",
        ],
        arms: &[
            Arm::new("1-uniform", "1 bit, 1 level", Change::To(&[change!("bits = 1")])),
            hwgq("2-uniform", "2 bits, 3 uniform levels"),
            Arm::new("2-lloyd", "2 bits, 3 Lloyd levels", Change::As("vgg-small-hwgq-lloyd")),
            Arm::new("3-uniform", "3 bits, 7 uniform levels", Change::As("vgg-small-hwgq-3")),
            Arm::new("3-lloyd", "3 bits, 7 Lloyd levels", Change::To(&[change!("bits = 3\nlevels = 'lloyd'")])),
            Arm::new("4-uniform", "4 bits, 15 uniform levels", Change::As("vgg-small-hwgq-4")),
            Arm::new("4-lloyd", "4 bits, 15 Lloyd levels", Change::To(&[change!("bits = 4\nlevels = 'lloyd'")])),
            Arm::new("32", "32 bits, ReLU", Change::As("vgg-small-bw")).published(published::BWN),
        ],
        epochs: None,
    },
    Experiment {
        name: "methods",
        about: "BNN, XNOR-Net, DoReFa-Net, HWGQ and floats on one network",
        notes: &[
            "The first and last layers have float weights in every arm, and all arms except bnn use the optimiser and the schedule of HWGQ.",
            "bnn is BinaryNet: no scales, latent weights in [−1, 1], squared hinge loss, Adam. In the preset paper it is the authors' network, with binary weights in all layers and without shifts and mirroring.",
        ],
        arms: &[
            Arm::new("bnn", "1-bit weights ±1, signs", Change::To(BINARY_NET))
                .own("bnn-convnet", &[])
                .published(published::BNN),
            Arm::new("xnor", "1-bit weights, signs, scales K", Change::As("vgg-small-xnor")).published(published::XNOR),
            Arm::new("dorefa", "1-bit weights, 2-bit activations in [0, 1]", Change::As("vgg-small-dorefa-1-2")),
            hwgq("hwgq", "1-bit weights, 2-bit HWGQ"),
            float(),
        ],
        epochs: None,
    },
    Experiment {
        name: "learning-curve",
        about: "learning curve of HWGQ: accuracy by epoch, over 30 epochs in the preset paper",
        notes: &["by-epoch.csv has the accuracy of each epoch. Published numbers are for 200 epochs."],
        arms: &[Arm::new("hwgq", "1-bit weights, 2-bit HWGQ", Change::To(&[]))],
        epochs: Some(30),
    },
];
