//! The supported data sets, and what is known about each before anything is read.
use super::Pictures;
use crate::schema::{Keys, Kinds, Setting, Visitor, key, word, words};
use std::path::PathBuf;

/// Maximum number of classes of a data set: a label is two bytes.
pub const MOST_CLASSES: usize = 65_536;

/// A supported data set.
#[derive(Clone, Debug, PartialEq)]
pub enum Set {
    /// Handwritten digits, 8 × 8 pixels of 0..=16, embedded: 1437 for training, 360 for testing.
    Digits,
    /// CIFAR-10, 32 × 32 pixels in colour: 50 000 for training, 10 000 for testing.
    Cifar10 {
        /// The folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, relative
        /// to the working directory.
        dir: PathBuf,
    },
    /// CIFAR-100, 32 × 32 pixels in colour: 50 000 for training, 10 000 for testing.
    Cifar100 {
        /// The folder with `train.bin` and `test.bin`, relative to the working directory.
        dir: PathBuf,
        /// The labels to learn.
        labels: Labels,
    },
    /// Images in IDX files, as used by MNIST, in the model's input size.
    Idx {
        /// The folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
        /// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, gzipped or not, or with those of
        /// another set, such as `emnist-letters-test-images-idx3-ubyte`; relative to the working
        /// directory.
        dir: PathBuf,
        /// The model's input (channels, height, width), which the images must match.
        image: [usize; 3],
        /// The model's classes, at most 256 because a label is one byte: labels are below it.
        classes: usize,
    },
    /// Pictures in class folders, with the model's input size and number of classes.
    Folder {
        /// The folder with `train/<class>/*`, `val/<class>/*` and `test/<class>/*`, or only with
        /// `<class>/*`; relative to the working directory. See [`crate::data::Layout`].
        dir: PathBuf,
        /// The model's input (channels, height, width) with 1 or 3 channels, which pictures are
        /// converted to.
        image: [usize; 3],
        /// The model's classes, at most 65 536: there must be as many class folders.
        classes: usize,
        /// How pictures become images.
        pictures: Pictures,
    },
}

/// Which of the two labels of a CIFAR-100 image to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// 100 classes. The default.
    Fine,
    /// 20 classes, each containing five fine ones.
    Coarse,
}

words!(Labels { Fine = "fine", Coarse = "coarse" });

impl Labels {
    /// The class names of the set's own lists, in order.
    fn classes(self) -> &'static str {
        match self {
            Self::Fine => {
                "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel \
                 can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur \
                 dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion \
                 lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree \
                 pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea \
                 seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table \
                 tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman \
                 worm"
            }
            Self::Coarse => {
                "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices \
                 household_furniture insects large_carnivores large_man-made_outdoor_things \
                 large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates \
                 people reptiles small_mammals trees vehicles_1 vehicles_2"
            }
        }
    }
}

impl Set {
    /// The name used in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Cifar10 { .. } => "cifar10",
            Self::Cifar100 { .. } => "cifar100",
            Self::Idx { .. } => "idx",
            Self::Folder { .. } => "folder",
        }
    }

    /// Channels, height and width of the network's input: the used part of an image.
    pub fn image(&self) -> [usize; 3] {
        match self {
            Self::Digits => [1, 8, 8],
            Self::Cifar10 { .. } | Self::Cifar100 { .. } => [3, 32, 32],
            Self::Idx { image, .. } | Self::Folder { image, .. } => *image,
        }
    }

    /// Channels, height and width of a stored image. Those of [`Self::image`], except for a folder
    /// whose recipe sets `resize`: its images have the proportions of the model's input, and that
    /// length on their shorter side.
    pub fn source(&self) -> [usize; 3] {
        match self {
            Self::Folder { image, pictures, .. } => pictures.source(*image),
            _ => self.image(),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        match self {
            Self::Digits | Self::Cifar10 { .. } => 10,
            Self::Cifar100 { labels: Labels::Fine, .. } => 100,
            Self::Cifar100 { labels: Labels::Coarse, .. } => 20,
            Self::Idx { classes, .. } | Self::Folder { classes, .. } => *classes,
        }
    }

    /// The class names, if known before anything is read.
    pub fn class_names(&self) -> Option<Vec<String>> {
        const CIFAR10: [&str; 10] =
            ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
        match self {
            Self::Digits | Self::Idx { .. } => Some((0..self.classes()).map(|class| class.to_string()).collect()),
            Self::Cifar10 { .. } => Some(CIFAR10.map(String::from).into()),
            Self::Cifar100 { labels, .. } => Some(labels.classes().split(' ').map(String::from).collect()),
            Self::Folder { .. } => None,
        }
    }

    /// Number of images in the training split, if known before anything is read.
    pub fn train_len(&self) -> Option<usize> {
        match self {
            Self::Digits => Some(1437),
            Self::Cifar10 { .. } | Self::Cifar100 { .. } => Some(50_000),
            Self::Idx { .. } | Self::Folder { .. } => None,
        }
    }

    /// The folder that the set is read from, if it is not embedded.
    pub fn dir_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Digits => None,
            Self::Cifar10 { dir } | Self::Cifar100 { dir, .. } | Self::Idx { dir, .. } | Self::Folder { dir, .. } => {
                Some(dir)
            }
        }
    }

    /// The maximum pixel value: 16 for digits, 255 otherwise.
    pub fn max_pixel(&self) -> u8 {
        match self {
            Self::Digits => 16,
            _ => 255,
        }
    }

    /// The default `scale`: 0..=16 to −0.5..=0.5 for digits, 0..=255 to 0..=1 otherwise.
    pub fn default_scale(&self) -> [f32; 2] {
        match self {
            Self::Digits => [1.0 / 16.0, -0.5],
            _ => [1.0 / 255.0, 0.0],
        }
    }
}

/// The choice of a set, for a model with this input and number of classes.
pub(super) struct Sets<'a> {
    pub(super) set: &'a mut Set,
    pub(super) input: [usize; 3],
    pub(super) classes: usize,
}

impl Kinds for Sets<'_> {
    fn all(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("digits", "embedded handwritten digits of 8 × 8 pixels, 1437 for training and 360 for testing"),
            ("cifar10", "CIFAR-10 (binary version): 32 × 32 pixels in colour, 10 classes"),
            ("cifar100", "CIFAR-100 (binary version): 32 × 32 pixels in colour, 100 classes, or 20 coarse ones"),
            ("idx", "MNIST, Fashion-MNIST, EMNIST and others in IDX files, gzipped or not"),
            ("folder", "pictures in class folders"),
        ]
    }

    fn name(&self) -> &'static str {
        self.set.name()
    }

    fn choose(&mut self, at: usize) {
        let (image, classes) = (self.input, self.classes);
        *self.set = match at {
            0 => Set::Digits,
            1 => Set::Cifar10 { dir: "cifar-10-batches-bin".into() },
            2 => Set::Cifar100 { dir: "cifar-100-binary".into(), labels: Labels::Fine },
            3 => Set::Idx { dir: "mnist".into(), image, classes },
            _ => Set::Folder { dir: "images".into(), image, classes, pictures: Pictures::default() },
        };
    }
}

/// The keys that only this set has.
impl Keys for Set {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        if let Some(dir) = self.dir_mut() {
            let folder = key("dir", "the set's folder, relative to the working directory");
            visitor.visit(folder, Setting::Path(dir, "name the folder that holds the images"));
        }
        match self {
            Self::Cifar100 { labels, .. } => word(visitor, key("labels", "the labels to learn"), labels),
            Self::Folder { image, pictures, .. } => pictures.keys(visitor, *image),
            _ => {}
        }
    }
}
