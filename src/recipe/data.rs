//! `[data]`: the data a network is trained on.

use super::set::Sets;
use super::{Augment, MOST_CLASSES, Padding, Set};
use crate::model::Model;
use crate::schema::{Key, Keys, List, Numbers, Purpose, Setting, Visitor, above, key, optional, word, words};
use std::ops::Bound;

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
        Set::Idx { dir: ".".into(), image: model.input, classes: model.classes }.into()
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

/// `[data]`, for a model.
pub(super) struct DataOf<'a> {
    pub(super) data: &'a mut Data,
    pub(super) model: &'a Model,
}

impl Keys for DataOf<'_> {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let data = &mut *self.data;
        let mut sets = Sets { set: &mut data.set, input: self.model.input, classes: self.model.classes };
        visitor.visit(key("set", "the data set"), Setting::Kind(&mut sets));
        if visitor.purpose() != Purpose::Write {
            *data = Data::from(data.set.clone());
        }
        data.set.keys(visitor);
        let (mut scale, advice) = (data.scale.to_vec(), "give two numbers [a, b]; a pixel p becomes p * a + b");
        let two = List { lengths: 2..=2, each: ANY, rising: false, advice: advice.into() };
        visitor.visit(key("scale", "[a, b]: a pixel p becomes p·a + b"), Setting::Numbers(&mut scale, two));
        if let [a, b] = scale[..] {
            data.scale = [a, b];
        }
        let [channels, height, width] = data.set.source();
        let all = visitor.purpose() == Purpose::List;
        let each = |what: &str, each| {
            let advice = format!("give a list of {channels}, {what} for each channel").into();
            let lengths = if all { 1..=usize::MAX } else { channels..=channels };
            List { lengths, each, rising: false, advice }
        };
        let mean = key("mean", "mean of each channel, subtracted after scaling").by_default("none");
        let allowed = each("the mean subtracted from a scaled pixel", ANY);
        per_channel(visitor, mean, &mut data.mean, allowed);
        let std = key("std", "standard deviation of each channel, divided by afterwards").by_default("none");
        let allowed = each("a number above 0 to divide by afterwards", above(0.0));
        per_channel(visitor, std, &mut data.std, allowed);
        let mean_image = key("mean_image", "subtract the mean training image, one value per pixel and channel, last");
        visitor.visit(mean_image, Setting::Flag(&mut data.mean_image));
        let shuffle = key("shuffle", "use the images of each epoch in another order, drawn from the seed");
        visitor.visit(shuffle, Setting::Flag(&mut data.shuffle));
        let share = Numbers::new(0.0..1.0, "give a share from 0 to below 1, such as 0.1");
        let validation = key("validation", "share of the training images that is held out for validation");
        visitor.visit(validation, Setting::Real(&mut data.validation, share));
        let limit = key("limit", "largest number of training images").by_default("all");
        let test_limit = key("test_limit", "largest number of test images").by_default("all");
        for (key, limit) in [(limit, &mut data.limit), (test_limit, &mut data.test_limit)] {
            optional(visitor, key, limit, 1, |limit| Setting::Integer(limit, 1..=u32::MAX as usize));
        }
        let augment = key("augment", "random changes of training images");
        let side = if all { MOST_PIXELS } else { height.min(width) };
        visitor.visit(augment, Setting::Table(&mut AugmentOf { augment: &mut data.augment, side }));
    }
}

const ANY: (Bound<f32>, Bound<f32>) = (Bound::Unbounded, Bound::Unbounded);

/// Visits a list of numbers that may be missing.
fn per_channel(visitor: &mut dyn Visitor, key: Key, values: &mut Vec<f32>, allowed: List) {
    let mut given = !values.is_empty();
    visitor.visit(key, Setting::Optional(&mut given, Box::new(Setting::Numbers(values, allowed))));
}

/// Largest side of an image.
const MOST_PIXELS: usize = 1 << 20;

/// `[data.augment]`, for images whose shorter side is `side`.
struct AugmentOf<'a> {
    augment: &'a mut Augment,
    side: usize,
}

impl Keys for AugmentOf<'_> {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let (augment, side) = (&mut *self.augment, self.side);
        let pad = key("pad", "pixels around the image into which a random crop may extend; at most its side");
        visitor.visit(pad, Setting::Integer(&mut augment.pad, 0..=side));
        word(visitor, key("padding", "value of these pixels"), &mut augment.padding);
        visitor.visit(key("mirror", "flip horizontally with probability ½"), Setting::Flag(&mut augment.mirror));
        let cutout = key("cutout", "side of a random square of zeros; 0 for none, at most twice the image's side");
        visitor.visit(cutout, Setting::Integer(&mut augment.cutout, 0..=2 * side));
    }
}

words!(Padding { Zero = "zero", Replicate = "replicate", Reflect = "reflect" });

impl Data {
    /// Why a network cannot be trained on these images, if it cannot: the table and the key at
    /// fault, and what to do.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str, String)> {
        let in_data = |(key, why)| ("data", key, why);
        if let Set::Folder { image, pictures, .. } = &self.set
            && let Some(fault) = pictures.fault(*image)
        {
            return Some(in_data(fault));
        }
        if self.scale[0] == 0.0 {
            let why = "the first number must not be 0, or all images look the same".to_string();
            return Some(("data", "scale", why));
        }
        let [_, height, width] = self.set.source();
        let (pad, side) = (self.augment.pad, height.min(width));
        if self.augment.padding == Padding::Reflect && pad >= side {
            let why = format!("images of {height} × {width} pixels can reflect at most {} of them", side - 1);
            return Some(("data.augment", "pad", why));
        }
        self.value_fault().map(in_data)
    }

    /// Why the images do not match the model's input, or are too few for its classes, if so: the
    /// table and the key at fault, and what to do.
    pub(super) fn model_fault(&self, model: &Model) -> Option<(&'static str, &'static str, String)> {
        let (set, in_model) = (&self.set, |key, why| Some(("model", key, why)));
        if model.input != set.image() {
            let shape = set.image();
            return in_model(
                "input",
                format!("the images of {} have channels, height, width {shape:?}; write that", set.name()),
            );
        }
        if model.classes != set.classes() {
            let labels = match set {
                Set::Cifar100 { labels, .. } => format!(" with labels = \"{}\"", labels.name()),
                _ => String::new(),
            };
            return in_model("classes", format!("{}{labels} has {} classes; write that", set.name(), set.classes()));
        }
        let (most, what) = match set {
            Set::Folder { .. } if !matches!(model.input[0], 1 | 3) => {
                return in_model("input", "pictures have 1 channel (grey) or 3 (colour); use one of these".to_string());
            }
            Set::Folder { .. } => (MOST_CLASSES, "a folder"),
            Set::Idx { .. } => (256, "idx, whose labels are single bytes,"),
            _ => (usize::MAX, ""),
        };
        if model.classes > most {
            return in_model("classes", format!("{what} has at most {most} classes"));
        }
        // If the number of images is not known, the limit is the best case.
        let (key, why) = self.share_fault(set.train_len().or(self.limit)?)?;
        Some(("data", key, why))
    }
}
