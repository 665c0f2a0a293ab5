//! Recipes in files, and the files that they extend.

use super::source::{Found, NO_FILES};
use super::texts::Origin;
use super::words::nearest;
use crate::data::FileKind;
use crate::files::{open, quoted};
use crate::{Error, Result};
use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Reads a file that another recipe names.
pub(super) fn beside(path: &str, from: &Origin) -> Result<Found, String> {
    let folder = from.folder.as_ref().ok_or_else(|| NO_FILES.to_string())?;
    // The shortest name for the file: `base.toml` rather than `./base.toml`.
    let file = folder.join(path.trim_start_matches("./"));
    if matches!(file.try_exists(), Ok(false)) {
        let relative = || format!("paths start in the folder of {}", from.name);
        let advice = near_file(&file).map_or_else(relative, |near| format!("did you mean \"{near}\"?"));
        return Err(format!("there is no file {}; {advice}", file.display()));
    }
    of_file(&file).map_err(|error| error.to_string())
}

/// The largest size of a recipe's text, in bytes.
pub const MOST_BYTES: u64 = 16 << 20;

pub(super) fn of_file(path: &Path) -> Result<Found> {
    let name = path.display().to_string();
    let wrong = |why: String| Error::Usage(format!("{name}: {why}"));
    if path.is_dir() {
        let inside = path.join("recipe.toml");
        return Err(wrong(match inside.is_file() {
            true => {
                let resume = format!("halfwave train --resume {}", quoted(path));
                format!("this is the folder of a run; its recipe is {}; to resume the run: {resume}", inside.display())
            }
            false => {
                let new = format!("halfwave new {}", quoted(path));
                format!("this is a folder; to write a recipe for the images in it: {new}")
            }
        }));
    }
    let not_text = || {
        // The first bytes of a text do not show which encoding it has.
        let kind = FileKind::of_file(path).filter(|kind| kind.what != "a text file");
        let found = kind.map_or("not text in UTF-8", |kind| kind.what);
        wrong(format!("this is {found}; a recipe is a TOML file in UTF-8, and names its images in [data]"))
    };
    let mut bytes = Vec::new();
    let file = open(path).map_err(Error::io(path))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if halfwave_infer::is_packed(&bytes) {
        return Err(wrong("this is a packed network; halfwave eval and predict take it".to_string()));
    }
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        let advice = "the recipe of a checkpoint is recipe.toml in its folder, and --init starts from its weights";
        return Err(wrong(format!("this is a safetensors file; {advice}")));
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
