//! Keys of `[data]` that only a `folder` has: how its pictures become images.

use crate::schema::{Numbers, Setting, Visitor, key, word, words};
use std::ops::Bound;

/// How the pictures of a folder are selected and converted to images.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// Share of every class used for testing, above 0 and below 1, if the folder has neither
    /// `test/` nor `val/`. 0.2 by default: every fifth picture, by name.
    pub test_share: f64,
    /// How a picture of other proportions is fitted to an image. [`Fit::Stretch`] by default.
    pub fit: Fit,
    /// Length in pixels of the images' shorter side, if larger than that of the model's input; see
    /// [`super::Set::source`].
    pub resize: Option<usize>,
    /// How to handle files that are not pictures. [`Undecodable::Skip`] by default.
    pub undecodable: Undecodable,
    /// A split whose images take more MiB than this is not kept in memory: its pictures are decoded
    /// when a batch needs them. 1024 by default; 0 keeps none.
    pub stream_above: u64,
}

/// How a picture of other proportions is fitted to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The whole picture is scaled, independently in each direction.
    Stretch,
    /// The largest centred part with the image's proportions is scaled.
    Crop,
}

/// How to handle files of a folder that are not readable pictures, or are in no class.
///
/// Of pictures that stay files, only the first bytes are examined beforehand. A picture found to be
/// damaged later is skipped, too: in a batch it is replaced by the next picture of its class
/// ([`crate::data::Split::read`]), and evaluations omit it. One that can no longer be read at all
/// is an error, whatever this setting: the run can be resumed once it is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// They are left out, with a warning.
    Skip,
    /// They are an error.
    Refuse,
}

impl Default for Pictures {
    fn default() -> Self {
        let (fit, undecodable) = (Fit::Stretch, Undecodable::Skip);
        Self { test_share: 0.2, fit, resize: None, undecodable, stream_above: 1024 }
    }
}

words!(Fit { Stretch = "stretch", Crop = "crop" });
words!(Undecodable { Skip = "skip", Refuse = "refuse" });

impl Pictures {
    /// Channels, height and width of the images created from pictures for a model's `input`.
    pub(super) fn source(&self, input: [usize; 3]) -> [usize; 3] {
        let [channels, height, width] = input;
        let shorter = height.min(width) as u64;
        let Some(wanted) = self.resize.filter(|_| shorter > 0) else { return input };
        // Rounded; sizes beyond memory are refused where pictures are read.
        let scaled = |side: usize| (side as u64).saturating_mul(wanted as u64).saturating_add(shorter / 2) / shorter;
        let [height, width] = [height, width].map(|side| usize::try_from(scaled(side)).unwrap_or(usize::MAX));
        [channels, height, width]
    }
}

/// Maximum side length of images that are larger than a model's input.
const LONGEST: usize = 1 << 14;

impl Pictures {
    /// Visits the keys, for a model whose input is `input`.
    pub(super) fn keys(&mut self, visitor: &mut dyn Visitor, input: [usize; 3]) {
        let share = (Bound::Excluded(0.0), Bound::Excluded(1.0));
        let share = Numbers::new(share, "give a number above 0 and below 1, such as 0.2");
        let test_share = key("test_share", "share of every class used for testing, without `test/` and `val/`");
        visitor.visit(test_share, Setting::Real(&mut self.test_share, share));
        word(visitor, key("fit", "how a picture of other proportions is fitted to the images"), &mut self.fit);
        let shorter = input[1].min(input[2]);
        let mut side = self.resize.unwrap_or(shorter);
        let resize = key("resize", "shorter side of the images, of which the model's input is cropped");
        visitor.visit(resize.by_default("that of the input"), Setting::Integer(&mut side, 1..=LONGEST));
        self.resize = Some(side).filter(|&side| side != shorter);
        let undecodable = key("undecodable", "what to do with files that are not pictures: omit them, or fail");
        word(visitor, undecodable, &mut self.undecodable);
        let stream = key("stream_above", "MiB of a split above which its pictures are decoded when a batch needs them");
        visitor.visit(stream, Setting::Count(&mut self.stream_above, 0..=1 << 30));
    }

    /// Why images of the length `resize` cannot be cropped to a model's `input`, if they cannot.
    pub(super) fn fault(&self, input: [usize; 3]) -> Option<(&'static str, String)> {
        let (wanted, shorter) = (self.resize?, input[1].min(input[2]));
        let [_, height, width] = self.source(input);
        let why = if wanted < shorter {
            format!("the shorter side of model.input is {shorter}, and is cropped from this; give at least that")
        } else if height.max(width) > LONGEST {
            format!("that makes images of {height} × {width} pixels; no side may be longer than {LONGEST}")
        } else {
            return None;
        };
        Some(("resize", why))
    }
}
