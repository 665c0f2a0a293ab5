//! NumPy archives (`.npz`) of images and labels, as Keras and MedMNIST distribute them.
mod read;

use super::{Fault, Files, Format, Loaded, Location, dataset};
use crate::data::{Dataset, FileKind, MOST_CLASSES, Part};
use crate::schema::{Key, Keys, Setting, Visitor, key};
use crate::{Error, Result};
use rawzip::ReaderAt;
use read::Archive;
use std::path::PathBuf;

const FILE: Key = key("file", "the archive with the arrays, relative to the working directory");

/// Images in a NumPy archive, in the model's input size.
#[derive(Clone, Debug, PartialEq)]
pub struct Npz {
    /// The archive with arrays named `x_train`, `y_train`, `x_test` and `y_test`, or
    /// `train_images`, `train_labels`, `test_images` and `test_labels`, and perhaps such with `val`
    /// for validation; relative to the working directory.
    pub file: PathBuf,
    /// The model's input (channels, height, width), which the images must match.
    pub image: [usize; 3],
    /// The model's classes: labels are below it.
    pub classes: usize,
}

impl Keys for Npz {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(FILE, Setting::Path(&mut self.file, "name the .npz file that holds the images"));
    }
}

impl Format for Npz {
    fn start(image: [usize; 3], classes: usize) -> Self {
        Self { file: "mnist.npz".into(), image, classes }
    }

    fn name(&self) -> &'static str {
        "npz"
    }

    fn meaning(&self) -> &'static str {
        "NumPy archives (.npz) of images and labels, such as Keras' mnist.npz and MedMNIST's"
    }

    fn files(&self) -> &'static str {
        "The archive holds `x_train`, `y_train`, `x_test` and `y_test`, or `train_images`, `train_labels`,
`test_images` and `test_labels`; validation images (`x_val`, `val_images`) are used as such. Images are
bytes (`uint8`) of shape (n, height, width), (n, height, width, channels) or (n, channels, height,
width), labels whole numbers from 0, of shape (n,) or (n, 1):

```python
numpy.savez_compressed(\"mine.npz\", x_train=images, y_train=labels, x_test=…, y_test=…)
```
"
    }

    fn image(&self) -> [usize; 3] {
        self.image
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn may_have_validation(&self) -> bool {
        true
    }

    fn location(&mut self) -> Option<Location<'_>> {
        Some(Location { key: FILE, path: &mut self.file, advice: "specify the .npz file", variable: None })
    }

    fn fault(&self) -> Option<Fault> {
        (self.classes > MOST_CLASSES).then(|| ("classes", format!("npz has at most {MOST_CLASSES} classes")))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn read(&self) -> Result<Loaded> {
        self.loaded(&self.open()?)
    }

    fn read_files(&self, files: Files<'_>) -> Result<Loaded> {
        let archives: Vec<_> = files.filter(|(name, _)| name.to_lowercase().ends_with(".npz")).collect();
        match <[_; 1]>::try_from(archives) {
            Ok([(name, bytes)]) => {
                let (kind, len) = (FileKind::of(&bytes), bytes.len() as u64);
                self.loaded(&Archive::open(name, kind, bytes, len)?)
            }
            Err(archives) => Err(Error::Data(format!("npz: there are {} .npz files; choose one", archives.len()))),
        }
    }
}

impl Npz {
    /// The set in a file, with the image shape and the number of classes of its arrays.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not such an archive.
    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::data) fn inspect(file: &std::path::Path) -> Result<Self> {
        let set = Self { file: file.into(), image: [1; 3], classes: 1 };
        let (image, classes) = set.open()?.inspect()?;
        Ok(Self { image, classes, ..set })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn open(&self) -> Result<Archive<rawzip::FileReader>> {
        let name = self.file.display().to_string();
        let file = std::fs::File::open(&self.file).map_err(Error::io(&self.file))?;
        let len = file.metadata().map_err(Error::io(&self.file))?.len();
        let kind = FileKind::of_file(&self.file);
        Archive::open(name, kind, rawzip::FileReader::from(file), len)
    }

    fn loaded(&self, archive: &Archive<impl ReaderAt>) -> Result<Loaded> {
        let train = archive.split(Part::Train, self)?.unwrap_or_default();
        let validation = archive.split(Part::Validation, self)?;
        let test = archive.split(Part::Test, self)?.unwrap_or_default();
        Ok((Dataset { validation, ..dataset(self, (train, test)) }, None))
    }
}
