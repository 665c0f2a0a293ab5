//! Keys of `[data]` that only a `folder` has: how its pictures become images.

use super::table::Table;
use super::write::Toml;
use crate::Result;

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

impl Fit {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stretch => "stretch",
            Self::Crop => "crop",
        }
    }
}

impl Undecodable {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Refuse => "refuse",
        }
    }
}

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

/// The keys.
pub(super) const KEYS: [&str; 5] = ["test_share", "fit", "resize", "undecodable", "stream_above"];

/// Maximum side length of images that are larger than a model's input.
const LONGEST: usize = 1 << 14;

/// Reads the keys, for a model whose input is `input`.
pub(super) fn read(table: &Table<'_>, input: [usize; 3]) -> Result<Pictures> {
    let usual = Pictures::default();
    let shorter = input[1].min(input[2]);
    let share = |v: f64| v > 0.0 && v < 1.0;
    let test_share = table.real("test_share", share, "give a number above 0 and below 1, such as 0.2")?;
    let fit = table.word("fit", &[Fit::Stretch, Fit::Crop].map(|fit| (fit.name(), fit)))?;
    let resize = table.integer("resize", 1..=LONGEST as u64)?.map(|wanted| wanted as usize);
    if resize.is_some_and(|wanted| wanted < shorter) {
        let wanted =
            format!("the shorter side of model.input is {shorter}, and is cropped from this; give at least that");
        return Err(table.bad("resize", &wanted));
    }
    let [_, height, width] = Pictures { resize, ..usual.clone() }.source(input);
    if resize.is_some() && height.max(width) > LONGEST {
        let wanted = format!("that makes images of {height} × {width} pixels; no side may be longer than {LONGEST}");
        return Err(table.bad("resize", &wanted));
    }
    let words = [Undecodable::Skip, Undecodable::Refuse].map(|what| (what.name(), what));
    Ok(Pictures {
        test_share: test_share.unwrap_or(usual.test_share),
        fit: fit.unwrap_or(usual.fit),
        resize: resize.filter(|&wanted| wanted != shorter),
        undecodable: table.word("undecodable", &words)?.unwrap_or(usual.undecodable),
        stream_above: table.integer("stream_above", 0..=1 << 30)?.unwrap_or(usual.stream_above),
    })
}

/// Writes the keys.
pub(super) fn write(toml: &mut Toml, pictures: &Pictures, input: [usize; 3]) {
    toml.line("test_share", format!("{:?}", pictures.test_share));
    toml.word("fit", pictures.fit.name());
    toml.line("resize", pictures.resize.unwrap_or(input[1].min(input[2])));
    toml.word("undecodable", pictures.undecodable.name());
    toml.line("stream_above", pictures.stream_above);
}
