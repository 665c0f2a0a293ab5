//! Where the text of a recipe comes from: a built-in one, a file, or a text, with changes from
//! outside.

#[cfg(not(target_arch = "wasm32"))]
use super::file::{beside, of_file};
use super::texts::{Origin, Texts};
use super::words::suggest;
use super::{BUILTIN, Recipe, builtin, parse, set};
use crate::Result;
use std::borrow::Cow;
use std::path::PathBuf;

/// The text of a recipe and changes to it, to be read as a [`Recipe`].
///
/// ```
/// use halfwave::recipe::Source;
/// let mut source = Source::builtin("digits").unwrap();
/// source.set("train.optimizer.lr=0.1")?;
/// source.set("layers.q*.bits=3")?;
/// assert_eq!(source.recipe()?.train.optimizer.lr, 0.1);
/// # Ok::<(), halfwave::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    text: Cow<'static, str>,
    origin: Origin,
    /// Names and texts of the changes.
    options: Vec<(String, String)>,
}

impl Source {
    /// A text; `name` is its name in errors. It can extend built-in recipes only.
    pub fn text(text: impl Into<String>, name: impl Into<String>) -> Self {
        let origin = Origin { name: name.into(), identity: None, folder: None };
        Self { text: Cow::Owned(text.into()), origin, options: Vec::new() }
    }

    /// The built-in recipe of that name, if there is one.
    pub fn builtin(name: &str) -> Option<Self> {
        let (origin, text) = of_builtin(name)?;
        Some(Self { text, origin, options: Vec::new() })
    }

    /// A recipe file. Paths in it start in its folder.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or is not text.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn file(path: &std::path::Path) -> Result<Self> {
        let (origin, text) = of_file(path)?;
        Ok(Self { text, origin, options: Vec::new() })
    }

    /// Allows a text to extend files; paths in it start in `folder`.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.origin.folder = Some(folder.into());
        self
    }

    /// Changes a key, as the program's option `--set` does: `train.optimizer.lr=0.1`, or
    /// `layers.q*.bits=3` for every layer with such a name. A value that is not valid TOML is a
    /// string. Errors in the value are found by [`Self::recipe`], and name the option.
    ///
    /// # Errors
    ///
    /// Returns an error if this is not a key and a value with `=` between them.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        self.set_by("--set", assignment)
    }

    /// Changes a key like [`Self::set`], by another option: its name begins the errors.
    ///
    /// # Errors
    ///
    /// Returns an error if this is not a key and a value with `=` between them.
    pub fn set_by(&mut self, option: &str, assignment: &str) -> Result<()> {
        let option = format!("{option} {assignment}");
        let text = set::text(&option, assignment)?;
        self.options.push((option, text));
        Ok(())
    }

    /// The text itself, without changes and without the recipes that it extends.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the recipe, of the one that it extends, and so on.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them cannot be read.
    pub fn chain(&self) -> Result<Vec<String>> {
        self.texts().map(|texts| texts.chain())
    }

    /// Reads the recipe.
    ///
    /// # Errors
    ///
    /// Returns [`crate::Error::Recipe`] with file, line, layer or key, and what to do, for the first
    /// mistake found.
    pub fn recipe(&self) -> Result<Recipe> {
        parse::recipe(&self.texts()?)
    }

    fn texts(&self) -> Result<Texts> {
        Texts::read(&self.options, &self.text, self.origin.clone(), &find)
    }
}

/// A text with its origin.
pub(super) type Found = (Origin, Cow<'static, str>);

fn of_builtin(name: &str) -> Option<Found> {
    let origin = Origin { name: name.into(), identity: Some(name.into()), folder: None };
    Some((origin, Cow::Borrowed(builtin(name)?)))
}

/// Finds what a recipe extends: a file if the name looks like a path, or else a built-in recipe.
fn find(name: &str, from: &Origin) -> Result<Found, String> {
    // A backslash separates names on Windows only; a slash everywhere.
    let path = name.replace('\\', "/");
    if path.contains('/') || path.to_lowercase().ends_with(".toml") {
        return beside(&path, from);
    }
    of_builtin(name).ok_or_else(|| {
        let file = format!("{name}.toml");
        let is_file = |folder: &PathBuf| cfg!(not(target_arch = "wasm32")) && folder.join(&file).is_file();
        if from.folder.as_ref().is_some_and(is_file) {
            return format!("there is no built-in recipe of that name; did you mean the file \"{file}\"?");
        }
        format!("there is no built-in recipe of that name; {}", suggest(name, &BUILTIN.map(|(name, _)| name)))
    })
}

/// There are no files in a browser.
#[cfg(target_arch = "wasm32")]
fn beside(_: &str, _: &Origin) -> Result<Found, String> {
    Err(NO_FILES.to_string())
}

/// Why a text cannot extend files.
pub(super) const NO_FILES: &str = "a recipe that is not a file itself can extend only built-in recipes; \
                        `halfwave recipe --flat FILE` prints a file with all that it extends";
