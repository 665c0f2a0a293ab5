//! Presets: the network, the images and the number of epochs of an experiment.

/// A setting that applies to every experiment.
#[derive(Debug)]
pub struct Preset {
    /// Name of the preset.
    pub name: &'static str,
    /// A one-line description.
    pub about: &'static str,
    /// The built-in recipe that the arms change.
    base: &'static str,
    /// Experiments whose arms change another recipe, with the name of that recipe.
    others: &'static [(&'static str, &'static str)],
    /// Default number of seeds per arm.
    pub seeds: u64,
    /// Whether this is the setting for which results were published.
    pub published: bool,
    /// Other changes to the base recipe, in the syntax of a recipe, without `[train]`.
    pub(super) settings: &'static str,
    /// Number of epochs, if it differs from that of the experiment or recipe.
    pub(super) epochs: Option<u64>,
}

impl Preset {
    /// Returns the name of the built-in recipe that the arms of an experiment change.
    pub fn base(&self, experiment: &str) -> &'static str {
        self.others.iter().find(|(name, _)| *name == experiment).map_or(self.base, |(_, base)| base)
    }
}

/// All presets, in ascending order of duration.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "smoke",
        about: "the embedded digits for a few epochs: a functional check in seconds, without a data set",
        base: "digits",
        others: &[],
        seeds: 2,
        published: false,
        settings: "",
        epochs: Some(3),
    },
    Preset {
        name: "small",
        about: "a VGG with a quarter of its filters on a fifth of CIFAR-10: the trend of the results, without a GPU",
        base: "vgg-small-quarter",
        // After so few epochs, the surrogates differ clearly for the eight quantisers of VGG-11,
        // but not for the five of VGG-small.
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
