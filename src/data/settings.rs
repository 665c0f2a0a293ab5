//! What a recipe's `[data]` states.
use super::{Npz, Set};
use crate::model::Model;
use crate::ops::gather::Augment;

/// `[data]`: the data set, and how pixels are normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The data set.
    pub set: Set,
    /// `[a, b]`: a pixel p becomes p·a + b. [`Format::default_scale`](super::Format::default_scale) by default.
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
    /// The training images that are held out for validation; in a recipe [`Validation::Auto`] by
    /// default.
    pub validation: Validation,
    /// Maximum number of training images, including those that `validation` holds out; all by
    /// default.
    pub limit: Option<usize>,
    /// Maximum number of test images; all by default.
    pub test_limit: Option<usize>,
}

/// How many training images are held out to choose the best epoch and settings by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validation {
    /// A tenth of them. None if the set has validation images of its own, or if fewer images than
    /// classes would be left to train on.
    Auto,
    /// This share, from 0 to below 1; only 0 if the set has validation images of its own.
    Share(f64),
}

impl Validation {
    /// Number of images held out of `used` of a set with this many classes and no validation images
    /// of its own.
    fn held_out(self, used: usize, classes: usize) -> usize {
        let of = |share: f64| ((used as f64 * share).round() as usize).min(used);
        match self {
            Self::Auto => Some(of(0.1)).filter(|held_out| used - held_out >= classes).unwrap_or(0),
            Self::Share(share) => of(share),
        }
    }

    /// Whether the share was chosen, and is not 0.
    fn is_chosen(self) -> bool {
        !matches!(self, Self::Auto | Self::Share(0.0))
    }
}

impl From<Set> for Data {
    /// The whole set, with all defaults of a recipe except that no images are held out.
    fn from(set: Set) -> Self {
        let scale = set.default_scale();
        let (mean, std, augment) = (Vec::new(), Vec::new(), Augment::default());
        let (validation, limit, test_limit) = (Validation::Share(0.0), None, None);
        Self { set, scale, mean, std, mean_image: false, augment, shuffle: true, validation, limit, test_limit }
    }
}

impl Data {
    /// The data of a network that is trained on arrays instead of files, as far as a recipe states
    /// it.
    pub(crate) fn arrays(model: &Model) -> Self {
        Npz { file: "arrays.npz".into(), image: model.input, classes: model.classes }.into()
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
    pub(crate) fn value_fault(&self) -> Option<(&'static str, String)> {
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

    /// Number of `len` training images that are used for training, and number held out, of a set
    /// without validation images of its own.
    pub(crate) fn shares(&self, len: usize) -> [usize; 2] {
        let used = self.limit.map_or(len, |limit| limit.min(len));
        let held_out = self.validation.held_out(used, self.set.classes());
        [used - held_out, held_out]
    }

    /// Whether there are certainly no validation images.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))] // for runs in folders
    pub(crate) fn holds_none_out(&self) -> bool {
        self.validation == Validation::Share(0.0) && !self.set.may_have_validation()
    }

    /// Whether a loaded set's validation images, if it has any, are its own.
    pub(crate) fn may_keep_own(&self) -> bool {
        self.set.may_have_validation() && !self.validation.is_chosen()
    }

    /// Whether all images are used, and the whole of each is the network's input.
    pub fn keeps_all(&self) -> bool {
        let Self { set, validation, limit, test_limit, .. } = self;
        *validation == Validation::Share(0.0) && limit.is_none() && test_limit.is_none() && set.source() == set.image()
    }

    /// Why `len` training images cannot be divided in this way, if they cannot: the key to change,
    /// and what is wrong.
    pub(crate) fn share_fault(&self, len: usize) -> Option<(&'static str, String)> {
        let ([train, held_out], classes) = (self.shares(len), self.set.classes());
        if self.validation.is_chosen() && held_out == 0 {
            let used = train + held_out;
            return Some((
                "validation",
                format!("of {used} images this holds out none; hold out a larger share, or 0"),
            ));
        }
        let chosen = self.validation.is_chosen();
        let (key, advice) = if chosen { ("validation", "less") } else { ("limit", "more images") };
        let reduced = chosen || self.limit.is_some();
        (reduced && train < classes).then(|| {
            (key, format!("{train} images are left to train on, but there are {classes} classes; give {advice}"))
        })
    }
}
