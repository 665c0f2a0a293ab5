//! Pictures in class folders.
#[cfg(not(target_arch = "wasm32"))]
mod read;

use super::{DIR, DIR_WANTED, Fault, Format, Location};
#[cfg(not(target_arch = "wasm32"))]
use crate::Result;
use crate::data::MOST_CLASSES;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::{Classes, Data, formats::Loaded};
use crate::schema::{Keys, Numbers, Setting, Visitor, key, word, words};
use std::ops::Bound;
use std::path::PathBuf;

/// Maximum side length of images that are larger than a model's input.
const LONGEST: usize = 1 << 14;

/// Pictures in class folders, with the model's input size and number of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Folder {
    /// The folder with `train/<class>/*`, `val/<class>/*` and `test/<class>/*`, or only with
    /// `<class>/*`; relative to the working directory. See [`crate::data::Layout`].
    pub dir: PathBuf,
    /// The model's input (channels, height, width) with 1 or 3 channels, which pictures are
    /// converted to.
    pub image: [usize; 3],
    /// The model's classes, at most 65 536: there must be as many class folders.
    pub classes: usize,
    /// How pictures become images.
    pub pictures: Pictures,
}

/// How the pictures of a folder are selected and converted to images.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// Share of every class used for testing, above 0 and below 1, if the folder has neither
    /// `test/` nor `val/`. 0.2 by default: every fifth picture, by name.
    pub test_share: f64,
    /// How a picture of other proportions is fitted to an image. [`Fit::Stretch`] by default.
    pub fit: Fit,
    /// Length in pixels of the images' shorter side, if larger than that of the model's input; see
    /// [`Format::source`].
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
    fn source(&self, input: [usize; 3]) -> [usize; 3] {
        let [channels, height, width] = input;
        let shorter = height.min(width) as u64;
        let Some(wanted) = self.resize.filter(|_| shorter > 0) else { return input };
        // Rounded; sizes beyond memory are refused where pictures are read.
        let scaled = |side: usize| (side as u64).saturating_mul(wanted as u64).saturating_add(shorter / 2) / shorter;
        let [height, width] = [height, width].map(|side| usize::try_from(scaled(side)).unwrap_or(usize::MAX));
        [channels, height, width]
    }
}

/// What a folder contains.
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::data) struct Inspected {
    /// Names of the classes, ordered.
    pub(in crate::data) classes: Vec<String>,
    /// Paths of all pictures that are in a class.
    pub(in crate::data) pictures: Vec<PathBuf>,
    /// Whether there is a validation split besides those for training and testing.
    pub(in crate::data) has_validation: bool,
}

#[cfg(not(target_arch = "wasm32"))]
impl Folder {
    /// Finds the classes and pictures in a folder.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such folder, or it holds no class folders with pictures.
    pub(in crate::data) fn inspect(dir: &std::path::Path) -> Result<Inspected> {
        read::inspect(dir)
    }
}

impl Keys for Folder {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let Self { dir, image, pictures, .. } = self;
        visitor.visit(DIR, Setting::Path(dir, DIR_WANTED));
        let share = (Bound::Excluded(0.0), Bound::Excluded(1.0));
        let share = Numbers::new(share, "give a number above 0 and below 1, such as 0.2");
        let test_share = key("test_share", "share of every class used for testing, without `test/` and `val/`");
        visitor.visit(test_share, Setting::Real(&mut pictures.test_share, share));
        word(visitor, key("fit", "how a picture of other proportions is fitted to the images"), &mut pictures.fit);
        let shorter = image[1].min(image[2]);
        let mut side = pictures.resize.unwrap_or(shorter);
        let resize = key("resize", "shorter side of the images, of which the model's input is cropped");
        visitor.visit(resize.by_default("that of the input"), Setting::Integer(&mut side, 1..=LONGEST));
        pictures.resize = Some(side).filter(|&side| side != shorter);
        let undecodable = key("undecodable", "what to do with files that are not pictures: omit them, or fail");
        word(visitor, undecodable, &mut pictures.undecodable);
        let stream = key("stream_above", "MiB of a split above which its pictures are decoded when a batch needs them");
        visitor.visit(stream, Setting::Count(&mut pictures.stream_above, 0..=1 << 30));
    }
}

impl Format for Folder {
    fn start(image: [usize; 3], classes: usize) -> Self {
        Self { dir: "images".into(), image, classes, pictures: Pictures::default() }
    }

    fn name(&self) -> &'static str {
        "folder"
    }

    fn meaning(&self) -> &'static str {
        "pictures in class folders"
    }

    fn files(&self) -> &'static str {
        "[Your own images](images.md) shows the layouts of folders, and lists the formats.\n"
    }

    fn image(&self) -> [usize; 3] {
        self.image
    }

    /// If the recipe sets `resize`, images have the proportions of the model's input, and that
    /// length on their shorter side.
    fn source(&self) -> [usize; 3] {
        self.pictures.source(self.image)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn class_names(&self) -> Option<Vec<String>> {
        None
    }

    fn fit(&self) -> Option<Fit> {
        Some(self.pictures.fit)
    }

    fn may_have_validation(&self) -> bool {
        true
    }

    fn location(&mut self) -> Option<Location<'_>> {
        let advice = "specify the folder with the images";
        Some(Location { key: DIR, path: &mut self.dir, advice, variable: None })
    }

    fn fault(&self) -> Option<Fault> {
        let ([channels, height, width], [_, rows, columns]) = (self.image, self.source());
        let shorter = height.min(width);
        match self.pictures.resize {
            Some(resize) if resize < shorter => Some((
                "resize",
                format!("the shorter side of model.input is {shorter}, and is cropped from this; give at least that"),
            )),
            Some(_) if rows.max(columns) > LONGEST => Some((
                "resize",
                format!("that makes images of {rows} × {columns} pixels; no side may be longer than {LONGEST}"),
            )),
            _ if !matches!(channels, 1 | 3) => {
                Some(("input", "pictures have 1 channel (grey) or 3 (colour); use one of these".into()))
            }
            _ if self.classes > MOST_CLASSES => {
                Some(("classes", format!("a folder has at most {MOST_CLASSES} classes")))
            }
            _ => None,
        }
    }

    // Folders are divided before they are decoded.
    #[cfg(not(target_arch = "wasm32"))]
    fn load(&self, data: &Data, classes: Classes<'_>) -> Result<Loaded> {
        let (dataset, described) = read::load(self, data, classes)?;
        Ok((dataset, Some(described)))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn read_class_names(&self) -> Result<Vec<String>> {
        read::class_names(&self.dir, self.classes)
    }
}
