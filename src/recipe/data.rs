//! `[data]`: the data a network is trained on.

use super::{Augment, Data, Padding, Set};
use crate::data::{Fault, Validation};
use crate::model::Model;
use crate::schema::{Key, Keys, Kinds, List, Numbers, Purpose, Setting, Visitor, above, key, optional, word, words};
use std::ops::Bound;

/// `[data]`, for a model.
pub(super) struct DataOf<'a> {
    pub(super) data: &'a mut Data,
    pub(super) model: &'a Model,
}

impl Keys for DataOf<'_> {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let data = &mut *self.data;
        let mut kinds = SetOf { set: &mut data.set, model: self.model };
        visitor.visit(key("set", "the data set"), Setting::Kind(&mut kinds));
        if visitor.purpose() != Purpose::Write {
            *data = Data { validation: Validation::Auto, ..data.set.clone().into() };
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
        let std = key("std", "standard deviation of each channel, by which it is divided after `mean` is subtracted")
            .by_default("none");
        let allowed = each("a number above 0 to divide by afterwards", above(0.0));
        per_channel(visitor, std, &mut data.std, allowed);
        let mean_image = key("mean_image", "subtract the mean training image, one value per pixel and channel, last");
        visitor.visit(mean_image, Setting::Flag(&mut data.mean_image));
        let shuffle = key("shuffle", "shuffle the training images in each epoch, by the seed");
        visitor.visit(shuffle, Setting::Flag(&mut data.shuffle));
        validation(visitor, &mut data.validation);
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

/// The choice of a set, for a model.
struct SetOf<'a> {
    set: &'a mut Set,
    model: &'a Model,
}

impl SetOf<'_> {
    fn sets(&self) -> Vec<Set> {
        Set::all(self.model.input, self.model.classes)
    }
}

impl Kinds for SetOf<'_> {
    fn all(&self) -> Vec<(&'static str, &'static str)> {
        self.sets().iter().map(|set| (set.name(), set.meaning())).collect()
    }

    fn name(&self) -> &'static str {
        self.set.name()
    }

    fn choose(&mut self, at: usize) {
        *self.set = self.sets().swap_remove(at);
    }
}

const ANY: (Bound<f32>, Bound<f32>) = (Bound::Unbounded, Bound::Unbounded);

/// Visits a list of numbers that may be missing.
fn per_channel(visitor: &mut dyn Visitor, key: Key, values: &mut Vec<f32>, allowed: List) {
    let mut given = !values.is_empty();
    visitor.visit(key, Setting::Optional(&mut given, Box::new(Setting::Numbers(values, allowed))));
}

/// Visits the share of images that is held out.
fn validation(visitor: &mut dyn Visitor, validation: &mut Validation) {
    let (mut word, mut share) = match *validation {
        Validation::Auto => (Some(0), 0.0),
        Validation::Share(share) => (None, share),
    };
    let meaning = "share of the training images that is held out to choose the best epoch; \"auto\" for a tenth, or none if the set has validation images of its own";
    let allowed = Numbers::new(0.0..1.0, "give a share from 0 to below 1, such as 0.1, or \"auto\"");
    let number = Box::new(Setting::Real(&mut share, allowed));
    visitor.visit(key("validation", meaning), Setting::WordOr(&mut word, &["auto"], number));
    *validation = word.map_or(Validation::Share(share), |_| Validation::Auto);
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

/// Whether the key is one of the model's.
fn of_model((key, _): &Fault) -> bool {
    ["input", "classes"].contains(key)
}

impl Data {
    /// Why a network cannot be trained on these images, if it cannot: the table and the key at
    /// fault, and what to do.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str, String)> {
        let in_data = |(key, why)| ("data", key, why);
        if let Some(fault) = self.set.fault().filter(|fault| !of_model(fault)) {
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
        let (set, in_model) = (&self.set, |(key, why)| ("model", key, why));
        let (shape, classes) = (set.image(), set.classes());
        if model.input != shape {
            let why = format!(
                "the images of {} have channels, height, width {shape:?}; write input = {shape:?} in [model]",
                set.name()
            );
            return Some(in_model(("input", why)));
        }
        if model.classes != classes {
            let why = format!("{} has {classes} classes; write classes = {classes} in [model]", set.named_with_keys());
            return Some(in_model(("classes", why)));
        }
        if let Some(fault) = set.fault().filter(of_model) {
            return Some(in_model(fault));
        }
        // If the number of images is not known, the limit is the best case.
        let (key, why) = self.share_fault(set.train_len().or(self.limit)?)?;
        Some(("data", key, why))
    }
}
