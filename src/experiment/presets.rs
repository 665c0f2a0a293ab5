//! Presets: on which network and images an experiment is made, and for how long.

/// A setting of every experiment.
#[derive(Debug)]
pub struct Preset {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The built-in recipe that the arms change.
    base: &'static str,
    /// Experiments whose arms change another one, and which.
    others: &'static [(&'static str, &'static str)],
    /// Seeds of each arm, unless others are asked for.
    pub seeds: u64,
    /// Whether it is the setting that numbers were published for.
    pub published: bool,
    /// What else is other than in the base's recipe, in a recipe's words; no `[train]`.
    pub(super) settings: &'static str,
    /// Epochs, where they are not those of the experiment or of the recipe.
    pub(super) epochs: Option<u64>,
}

impl Preset {
    /// The built-in recipe that the arms of an experiment change.
    pub fn base(&self, experiment: &str) -> &'static str {
        self.others.iter().find(|(name, _)| *name == experiment).map_or(self.base, |(_, base)| base)
    }
}

/// All presets, the shortest first.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "smoke",
        about: "the embedded digits for a few epochs: that everything works, in seconds; needs nothing",
        base: "digits",
        others: &[],
        seeds: 2,
        published: false,
        settings: "",
        epochs: Some(3),
    },
    Preset {
        name: "small",
        about: "a VGG with a quarter of its filters on a fifth of CIFAR-10: which way it goes, without a GPU",
        base: "vgg-small-quarter",
        // In so few epochs the surrogates differ clearly behind the eight quantisers of VGG-11, but not behind the five of VGG-small.
        others: &[("surrogates", "vgg11-quarter-bw")],
        seeds: 3,
        published: false,
        settings: "[data]\nlimit = 10000\ntest_limit = 5000\n",
        epochs: Some(10),
    },
    Preset {
        name: "paper",
        about: "VGG-small on CIFAR-10 with the published input and schedule, to compare with published numbers; for a GPU",
        base: "vgg-small",
        others: &[],
        seeds: 3,
        published: true,
        settings: "",
        epochs: None,
    },
];
