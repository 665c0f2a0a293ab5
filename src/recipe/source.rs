//! Where the text of a recipe comes from: a built-in one, a file, or a text, with changes from
//! outside.

use super::texts::{Origin, Texts};
use super::words::{nearest, suggest};
use super::{BUILTIN, Recipe, builtin, parse, set};
use crate::{Error, Result};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

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
    pub fn file(path: &Path) -> Result<Self> {
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
    /// Returns [`Error::Recipe`] with file, line, layer or key, and what to do, for the first
    /// mistake found.
    pub fn recipe(&self) -> Result<Recipe> {
        parse::recipe(&self.texts()?)
    }

    fn texts(&self) -> Result<Texts> {
        Texts::read(&self.options, &self.text, self.origin.clone(), &find)
    }
}

/// A text with its origin.
type Found = (Origin, Cow<'static, str>);

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

#[cfg(target_arch = "wasm32")]
fn beside(_: &str, _: &Origin) -> Result<Found, String> {
    Err(NO_FILES.to_string())
}

/// Why a text cannot extend files.
const NO_FILES: &str = "a recipe that is not a file itself can extend only built-in recipes; \
                        `halfwave recipe --flat FILE` prints a file with all that it extends";

/// Reads a file that another recipe names.
#[cfg(not(target_arch = "wasm32"))]
fn beside(path: &str, from: &Origin) -> Result<Found, String> {
    let folder = from.folder.as_ref().ok_or_else(|| NO_FILES.to_string())?;
    // The shortest name for the file: `base.toml` rather than `./base.toml`.
    let file = folder.join(path.trim_start_matches("./"));
    if !file.exists() {
        let near = near_file(&file).map_or(String::new(), |near| format!("did you mean \"{near}\"? "));
        return Err(format!("there is no file {}; {near}paths start in the folder of {}", file.display(), from.name));
    }
    of_file(&file).map_err(|error| error.to_string())
}

/// The largest size of a recipe's file.
#[cfg(not(target_arch = "wasm32"))]
const MOST_BYTES: u64 = 16 << 20;

#[cfg(not(target_arch = "wasm32"))]
fn of_file(path: &Path) -> Result<Found> {
    use crate::data::FileKind;
    use std::io::Read;
    let name = path.display().to_string();
    let wrong = |why: String| Error::Usage(format!("{name}: {why}"));
    if path.is_dir() {
        let inside = path.join("recipe.toml");
        return Err(wrong(match inside.is_file() {
            true => format!("this is a folder; its recipe is {}", inside.display()),
            false => "this is a folder; give the name of a file".to_string(),
        }));
    }
    let not_text = || {
        let found = FileKind::of_file(path).map_or("not text in UTF-8", |kind| kind.what);
        wrong(format!("this is {found}; a recipe is a TOML file in UTF-8, and names its images in [data]"))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if halfwave_infer::is_packed(&bytes) {
        return Err(wrong("this is a packed network; to use it, run halfwave eval or predict".to_string()));
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(not_text());
    }
    let text = String::from_utf8(bytes).map_err(|_| not_text())?;
    // A file that cannot be resolved is still read; only a circle through it is found later.
    let identity = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    Ok((Origin { name, identity: Some(identity), folder: Some(folder) }, Cow::Owned(text)))
}

/// The name of a recipe file in the same folder that was probably meant.
#[cfg(not(target_arch = "wasm32"))]
pub fn near_file(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let stem = known.iter().find(|name| name.strip_suffix(".toml") == Some(wanted));
    let near = *stem.or(nearest(wanted, &known).as_ref())?;
    Some(path.with_file_name(near).display().to_string())
}
