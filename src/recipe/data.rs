//! `[data]`: the data a network is trained on.

use super::images::{self, Normalisation};
use super::pictures::{self, Pictures};
use super::table::Table;
use super::write::Toml;
use super::{Augment, Labels, MOST_CLASSES, Set};
use crate::Result;
use crate::model::Model;

/// Name of CIFAR-10's folder in its archive.
const CIFAR10_DIR: &str = "cifar-10-batches-bin";

/// Name of CIFAR-100's folder in its archive.
const CIFAR100_DIR: &str = "cifar-100-binary";

/// Default folder of IDX files.
const IDX_DIR: &str = "mnist";

/// Default folder of pictures.
const FOLDER_DIR: &str = "images";

/// `[data]`: the data set, and how pixels are normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The data set.
    pub set: Set,
    /// `[a, b]`: a pixel p becomes p·a + b. [`Set::default_scale`] by default.
    pub scale: [f32; 2],
    /// Mean to subtract after scaling, one value per channel; none by default.
    pub mean: Vec<f32>,
    /// Standard deviation to divide by afterwards, one value per channel; none by default.
    pub std: Vec<f32>,
    /// Whether the mean training image, one value per pixel and channel, is subtracted last. False
    /// by default.
    pub mean_image: bool,
    /// Augmentation of training images. None by default.
    pub augment: Augment,
    /// Whether every epoch shuffles the images with a different order drawn from the seed, instead
    /// of using the files' order. True by default.
    pub shuffle: bool,
    /// Share of the training images, below 1, held out for validation. 0 by default; must be 0 if a
    /// folder has separate validation images.
    pub validation: f64,
    /// Maximum number of training images, including those that `validation` holds out; all by
    /// default.
    pub limit: Option<usize>,
    /// Maximum number of test images; all by default.
    pub test_limit: Option<usize>,
}

impl From<Set> for Data {
    /// The whole set, with all defaults.
    fn from(set: Set) -> Self {
        let scale = set.default_scale();
        let (mean, std, augment) = (Vec::new(), Vec::new(), Augment::default());
        let (validation, limit, test_limit) = (0.0, None, None);
        Self { set, scale, mean, std, mean_image: false, augment, shuffle: true, validation, limit, test_limit }
    }
}

impl Data {
    /// The data of a network that is trained on arrays instead of files, as far as a recipe states
    /// it.
    pub(crate) fn arrays(model: &Model) -> Self {
        Set::Idx { dir: IDX_DIR.into(), image: model.input, classes: model.classes }.into()
    }

    /// The normalised value of a byte of a channel, except the mean image: (byte · a + b − mean) /
    /// std, each operation rounded.
    pub(crate) fn value(&self, byte: u8, channel: usize) -> f32 {
        let of = |values: &[f32], default| values.get(channel).copied().unwrap_or(default);
        (f32::from(byte) * self.scale[0] + self.scale[1] - of(&self.mean, 0.0)) / of(&self.std, 1.0)
    }

    /// The key whose values make the images unusable, and why: values that are not finite, or the
    /// same for every pixel. The mapping of bytes is monotonic, so checking the first and the last
    /// byte suffices.
    fn value_fault(&self) -> Option<(&'static str, String)> {
        let key = match (&self.std[..], &self.mean[..]) {
            ([], []) => "scale",
            ([], _) => "mean",
            _ => "std",
        };
        // With a mean image, two values may be subtracted from each other.
        let fits = |value: f32| value.abs() <= f32::MAX / 2.0;
        let fault = |channel| {
            let [black, white] = [0, 255].map(|byte| self.value(byte, channel));
            if !fits(black) || !fits(white) {
                Some(format!("pixels of channel {channel} become {black:e} to {white:e}, too large for a network"))
            } else if black == white {
                Some(format!("every pixel of channel {channel} becomes {black:e}, so all images look the same"))
            } else {
                None
            }
        };
        let fault = (0..self.set.image()[0]).find_map(fault)?;
        Some((key, format!("with (p * a + b - mean) / std, {fault}; bring them near -1 to 1")))
    }

    /// Number of training images per epoch, if known before anything is read.
    pub fn train_len(&self) -> Option<usize> {
        self.set.train_len().map(|len| self.shares(len)[0])
    }

    /// Number of `len` training images that are used for training, and number held out.
    pub(crate) fn shares(&self, len: usize) -> [usize; 2] {
        let used = self.limit.map_or(len, |limit| limit.min(len));
        let held_out = (used as f64 * self.validation).round() as usize;
        [used - held_out.min(used), held_out.min(used)]
    }

    /// Whether all images are used, and the whole of each is the network's input.
    pub fn keeps_all(&self) -> bool {
        let Self { set, validation, limit, test_limit, .. } = self;
        *validation == 0.0 && limit.is_none() && test_limit.is_none() && set.source() == set.image()
    }

    /// Why `len` training images cannot be divided in this way, if they cannot: the key to change,
    /// and what is wrong.
    pub(crate) fn share_fault(&self, len: usize) -> Option<(&'static str, String)> {
        let ([train, held_out], classes) = (self.shares(len), self.set.classes());
        if self.validation > 0.0 && held_out == 0 {
            let used = train + held_out;
            return Some((
                "validation",
                format!("of {used} images this holds out none; hold out a larger share, or 0"),
            ));
        }
        let (key, advice) = if self.validation > 0.0 { ("validation", "less") } else { ("limit", "more images") };
        let reduced = self.validation > 0.0 || self.limit.is_some();
        (reduced && train < classes).then(|| {
            (key, format!("{train} images are left to train on, but there are {classes} classes; give {advice}"))
        })
    }
}

/// The keys of `[data]`.
pub(super) fn keys() -> Vec<&'static str> {
    let common = ["set", "dir", "labels", "scale", "shuffle", "validation", "limit", "test_limit"];
    [&common[..], &images::KEYS, &pictures::KEYS].concat()
}

/// Reads `[data]`.
pub(super) fn read(table: &Table<'_>, model: &Model) -> Result<Data> {
    let (image, classes) = (model.input, model.classes);
    let cifar10 = Set::Cifar10 { dir: CIFAR10_DIR.into() };
    let labels = table.word("labels", &[Labels::Fine, Labels::Coarse].map(|labels| (labels.name(), labels)))?;
    let cifar100 = Set::Cifar100 { dir: CIFAR100_DIR.into(), labels: labels.unwrap_or(Labels::Fine) };
    let idx = Set::Idx { dir: IDX_DIR.into(), image, classes };
    let folder = Set::Folder { dir: FOLDER_DIR.into(), image, classes, pictures: Pictures::default() };
    let sets = [&Set::Digits, &cifar10, &cifar100, &idx, &folder].map(|set| (set.name(), set));
    let set = table.word("set", &sets)?;
    let mut set = table.required("set", set, &format!("one of {}", sets.map(|(name, _)| name).join(", ")))?.clone();
    if labels.is_some() && set.name() != cifar100.name() {
        return Err(table.bad("labels", "only cifar100 has two kinds of them; remove it"));
    }
    let others: Vec<_> = keys().into_iter().filter(|key| !pictures::KEYS.contains(key)).collect();
    match &mut set {
        Set::Folder { pictures, .. } => *pictures = pictures::read(table, image)?,
        _ => {
            if let Some(key) = table.stranger(&others) {
                return Err(table.bad(key, "it applies to pictures, which only a folder has; remove it"));
            }
        }
    }
    if let Some(given) = table.string("dir")? {
        match set.dir_mut() {
            Some(dir) if !given.is_empty() => *dir = given.into(),
            Some(_) => return Err(table.bad("dir", "name the folder that holds the images")),
            None => return Err(table.bad("dir", "the digits are embedded; remove it")),
        }
    }
    let wanted = "give two numbers [a, b]; a pixel p becomes p * a + b";
    let scale = table.numbers("scale", wanted)?.unwrap_or(set.default_scale());
    if scale[0] == 0.0 {
        return Err(table.bad("scale", "the first number must not be 0, or all images look the same"));
    }
    let share = |v: f64| (0.0..1.0).contains(&v);
    let validation = table.real("validation", share, "give a share from 0 to below 1, such as 0.1")?.unwrap_or(0.0);
    let [limit, test_limit] = ["limit", "test_limit"].map(|key| table.integer(key, 1..=u64::from(u32::MAX)));
    let (limit, test_limit) = (limit?.map(|limit| limit as usize), test_limit?.map(|limit| limit as usize));
    let [channels, height, width] = set.source();
    let Normalisation { mean, std, mean_image } = images::normalisation(table, channels)?;
    let augment = images::augment(table, [height, width])?;
    let shuffle = table.flag("shuffle")?.unwrap_or(true);
    let data = Data { set, scale, mean, std, mean_image, augment, shuffle, validation, limit, test_limit };
    match data.value_fault() {
        Some((key, fault)) => Err(table.bad(key, &fault)),
        None => Ok(data),
    }
}

/// Checks that the images of the set match the model's input, and that there are enough of them.
pub(super) fn check(data_table: &Table<'_>, model_table: &Table<'_>, model: &Model, data: &Data) -> Result<()> {
    let (table, set) = (model_table, &data.set);
    if model.input != set.image() {
        let wanted = format!("the images of {} have channels, height, width {:?}; write that", set.name(), set.image());
        return Err(table.bad("input", &wanted));
    }
    if model.classes != set.classes() {
        let labels = match set {
            Set::Cifar100 { labels, .. } => format!(" with labels = \"{}\"", labels.name()),
            _ => String::new(),
        };
        let wanted = format!("{}{labels} has {} classes; write that", set.name(), set.classes());
        return Err(table.bad("classes", &wanted));
    }
    let at_most = |most: usize, what: &str| match model.classes > most {
        true => Err(table.bad("classes", &format!("{what} has at most {most} classes"))),
        false => Ok(()),
    };
    match set {
        Set::Folder { .. } if !matches!(model.input[0], 1 | 3) => {
            Err(table.bad("input", "pictures have 1 channel (grey) or 3 (colour); use one of these"))
        }
        Set::Folder { .. } => at_most(MOST_CLASSES, "a folder"),
        Set::Idx { .. } => at_most(256, "idx, whose labels are single bytes,"),
        _ => Ok(()),
    }?;
    // If the number of images is not known, the limit is the best case.
    match set.train_len().or(data.limit).and_then(|len| data.share_fault(len)) {
        Some((key, fault)) => Err(data_table.bad(key, &fault)),
        None => Ok(()),
    }
}

/// Writes `[data]`.
pub(super) fn write(toml: &mut Toml, data: &Data) {
    toml.heading("[data]");
    toml.word("set", data.set.name());
    if let Some(dir) = data.set.clone().dir_mut() {
        toml.word("dir", &dir.to_string_lossy());
    }
    match &data.set {
        Set::Cifar100 { labels, .. } => toml.word("labels", labels.name()),
        Set::Folder { pictures, image, .. } => pictures::write(toml, pictures, *image),
        _ => {}
    }
    toml.line("scale", format!("[{:?}, {:?}]", data.scale[0], data.scale[1]));
    images::write_normalisation(toml, data);
    toml.line("shuffle", data.shuffle);
    toml.line("validation", format!("{:?}", data.validation));
    for (key, limit) in [("limit", data.limit), ("test_limit", data.test_limit)] {
        if let Some(limit) = limit {
            toml.line(key, limit);
        }
    }
    images::write_augment(toml, &data.augment);
}
