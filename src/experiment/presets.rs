//! Presets: on which network and images an experiment is made, and for how long.

/// A setting of every experiment.
#[derive(Debug)]
pub struct Preset {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The built-in recipe that the arms change.
    pub base: &'static str,
    /// Seeds of each arm, unless others are asked for.
    pub seeds: u64,
    /// Whether it is the setting that numbers were published for.
    pub published: bool,
    /// What else is other than in the base's recipe, in a recipe's words; no `[train]`.
    pub(super) settings: &'static str,
    /// Epochs, where they are not those of the experiment or of the recipe.
    pub(super) epochs: Option<u64>,
}

/// All presets, the shortest first.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "smoke",
        about: "the embedded digits for a few epochs: that everything works, in seconds; needs nothing",
        base: "digits",
        seeds: 2,
        published: false,
        settings: "",
        epochs: Some(3),
    },
    Preset {
        name: "small",
        about: "VGG-small with a quarter of its filters on a tenth of CIFAR-10: which way it goes, without a GPU",
        base: "vgg-small-quarter",
        seeds: 3,
        published: false,
        settings: "[data]\nlimit = 5000\ntest_limit = 2000\n",
        epochs: Some(10),
    },
    Preset {
        name: "paper",
        about: "VGG-small on CIFAR-10 with the published input and schedule, to compare with published numbers; for a GPU",
        base: "vgg-small",
        seeds: 3,
        published: true,
        settings: "",
        epochs: None,
    },
];
