//! CIFAR-10 and CIFAR-100 (A. Krizhevsky, 2009), in their binary versions.
mod read;

use super::{DIR, DIR_WANTED, Files, Format, Loaded, Location, dataset};
use crate::Result;
use crate::schema::{Keys, Setting, Visitor, key, word, words};
use read::{CIFAR10, CIFAR100_COARSE, CIFAR100_FINE, Layout};
use std::path::PathBuf;

/// CIFAR-10, 32 × 32 pixels in colour: 50 000 for training, 10 000 for testing.
#[derive(Clone, Debug, PartialEq)]
pub struct Cifar10 {
    /// The folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, relative to
    /// the working directory.
    pub dir: PathBuf,
}

/// CIFAR-100, 32 × 32 pixels in colour: 50 000 for training, 10 000 for testing.
#[derive(Clone, Debug, PartialEq)]
pub struct Cifar100 {
    /// The folder with `train.bin` and `test.bin`, relative to the working directory.
    pub dir: PathBuf,
    /// The labels to learn.
    pub labels: Labels,
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

const SHAPE: [usize; 3] = [3, 32, 32];

const CLASSES: &str = "airplane automobile bird cat deer dog frog horse ship truck";

const FINE_CLASSES: &str = "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel \
     can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur \
     dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion \
     lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree \
     pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea \
     seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table \
     tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman \
     worm";

const COARSE_CLASSES: &str = "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices \
     household_furniture insects large_carnivores large_man-made_outdoor_things \
     large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates \
     people reptiles small_mammals trees vehicles_1 vehicles_2";

fn listed(names: &str) -> Vec<String> {
    names.split(' ').map(String::from).collect()
}

impl Keys for Cifar10 {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(DIR, Setting::Path(&mut self.dir, DIR_WANTED));
    }
}

impl Format for Cifar10 {
    /// The folder in the set's archive is the default.
    fn start(_image: [usize; 3], _classes: usize) -> Self {
        Self { dir: "cifar-10-batches-bin".into() }
    }

    fn name(&self) -> &'static str {
        CIFAR10.set
    }

    fn meaning(&self) -> &'static str {
        "CIFAR-10 (binary version): 32 × 32 pixels in colour, 10 classes"
    }

    fn files(&self) -> &'static str {
        "The folder holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`.\n"
    }

    fn image(&self) -> [usize; 3] {
        SHAPE
    }

    fn classes(&self) -> usize {
        10
    }

    fn class_names(&self) -> Option<Vec<String>> {
        Some(listed(CLASSES))
    }

    fn train_len(&self) -> Option<usize> {
        Some(CIFAR10.train_len())
    }

    fn location(&mut self) -> Option<Location<'_>> {
        let advice = "unpack the binary version of CIFAR-10 and specify its folder";
        Some(Location { key: DIR, path: &mut self.dir, advice, variable: Some("CIFAR10_DIR") })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn read(&self) -> Result<Loaded> {
        Ok((dataset(self, read::load(&self.dir, CIFAR10)?), None))
    }

    fn read_files(&self, files: Files<'_>) -> Result<Loaded> {
        Ok((dataset(self, read::read(files, CIFAR10)?), None))
    }
}

impl Keys for Cifar100 {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(DIR, Setting::Path(&mut self.dir, DIR_WANTED));
        word(visitor, key("labels", "the labels to learn"), &mut self.labels);
    }
}

impl Cifar100 {
    fn layout(&self) -> Layout {
        match self.labels {
            Labels::Fine => CIFAR100_FINE,
            Labels::Coarse => CIFAR100_COARSE,
        }
    }
}

impl Format for Cifar100 {
    /// The folder in the set's archive is the default.
    fn start(_image: [usize; 3], _classes: usize) -> Self {
        Self { dir: "cifar-100-binary".into(), labels: Labels::Fine }
    }

    fn name(&self) -> &'static str {
        self.layout().set
    }

    fn meaning(&self) -> &'static str {
        "CIFAR-100 (binary version): 32 × 32 pixels in colour, 100 classes, or 20 coarse ones"
    }

    fn files(&self) -> &'static str {
        "The folder holds `train.bin` and `test.bin`.\n"
    }

    fn named_with_keys(&self) -> String {
        format!("{} with labels = \"{}\"", self.name(), self.labels.name())
    }

    fn image(&self) -> [usize; 3] {
        SHAPE
    }

    fn classes(&self) -> usize {
        let layout = self.layout();
        usize::from(layout.classes[layout.label])
    }

    fn class_names(&self) -> Option<Vec<String>> {
        Some(listed(match self.labels {
            Labels::Fine => FINE_CLASSES,
            Labels::Coarse => COARSE_CLASSES,
        }))
    }

    fn train_len(&self) -> Option<usize> {
        Some(self.layout().train_len())
    }

    fn location(&mut self) -> Option<Location<'_>> {
        let advice = "unpack the binary version of CIFAR-100 and specify its folder";
        Some(Location { key: DIR, path: &mut self.dir, advice, variable: None })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn read(&self) -> Result<Loaded> {
        Ok((dataset(self, read::load(&self.dir, self.layout())?), None))
    }

    fn read_files(&self, files: Files<'_>) -> Result<Loaded> {
        Ok((dataset(self, read::read(files, self.layout())?), None))
    }
}
