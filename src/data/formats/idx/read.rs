//! Identifies the four files of an IDX data set in a folder.
//!
//! File names of data sets in this format vary: `train-images-idx3-ubyte`,
//! `train-images.idx3-ubyte.gz`, `emnist-letters-test-labels-idx1-ubyte`,
//! `QMNIST-Train-Images-IDX3-UBYTE`. They are split into words at other characters. One word says
//! whether the file holds images or labels, one which split; the words before them name the set. A
//! folder must hold exactly one set; otherwise the error lists them.
use crate::data::{FileKind, Split, idx_file, is_system};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Number of folder levels searched below the given one if that holds no such file: archives have
/// one or two.
const DEPTH: usize = 2;

/// Number of files that a message lists.
const LISTED: usize = 8;

/// One of the four files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    TrainImages,
    TrainLabels,
    TestImages,
    TestLabels,
}

const ROLES: [Role; 4] = [Role::TrainImages, Role::TrainLabels, Role::TestImages, Role::TestLabels];

impl Role {
    /// Name of the file in MNIST.
    fn name(self) -> &'static str {
        match self {
            Self::TrainImages => "train-images-idx3-ubyte",
            Self::TrainLabels => "train-labels-idx1-ubyte",
            Self::TestImages => "t10k-images-idx3-ubyte",
            Self::TestLabels => "t10k-labels-idx1-ubyte",
        }
    }
}

/// The set and the role given by a file's name, if it is a name of an IDX file.
fn recognised(name: &str) -> Option<(String, Role)> {
    let lower = name.to_lowercase();
    let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
    let words: Vec<&str> = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let images = words.iter().position(|word| matches!(*word, "images" | "image" | "imgs"));
    let labels = words.iter().position(|word| matches!(*word, "labels" | "label"));
    let train = words.iter().position(|word| matches!(*word, "train" | "training"));
    let test = words.iter().position(|word| matches!(*word, "test" | "testing" | "t10k"));
    // Either the format is named, or nothing follows the words for content and split: so no text or
    // other table is mistaken for one.
    let last = words.len().checked_sub(1)?;
    let format = words.iter().any(|word| word.starts_with("idx") || *word == "ubyte");
    if !format && images.max(labels).max(train).max(test) != Some(last) {
        return None;
    }
    let role = match (images, labels, train, test) {
        (Some(_), None, Some(_), None) => Role::TrainImages,
        (None, Some(_), Some(_), None) => Role::TrainLabels,
        (Some(_), None, None, Some(_)) => Role::TestImages,
        (None, Some(_), None, Some(_)) => Role::TestLabels,
        _ => return None,
    };
    let first = images.or(labels)?.min(train.or(test)?);
    Some((words[..first].join("-"), role))
}

/// Files of one set.
type Files = BTreeMap<Role, PathBuf>;

/// The sets in a folder, by name, or in its subfolders if there are none; and all other files.
fn sets_of(dir: &Path, depth: usize) -> Result<(BTreeMap<String, Files>, Vec<String>)> {
    let (mut sets, mut others, mut folders) = (BTreeMap::<String, Files>::new(), Vec::new(), Vec::new());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    // Files that are not gzipped come first, so that they are preferred.
    entries.sort_by_key(|(name, _)| (name.to_lowercase().ends_with(".gz"), name.clone()));
    for (name, path) in entries.into_iter().filter(|(name, _)| !is_system(name)) {
        match recognised(&name) {
            // Some archives contain folders with these names.
            _ if path.is_dir() => folders.push(path),
            Some((set, role)) if path.is_file() => {
                sets.entry(set).or_default().entry(role).or_insert(path);
            }
            _ => others.push(name),
        }
    }
    if sets.is_empty() && depth > 0 {
        folders.sort();
        for folder in folders {
            let (inner, rest) = sets_of(&folder, depth - 1)?;
            let prefix = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            sets.extend(inner.into_iter().map(|(name, files)| (format!("{prefix}/{name}"), files)));
            others.extend(rest.into_iter().map(|name| format!("{prefix}/{name}")));
        }
    }
    Ok((sets, others))
}

/// Both splits, the class names, and a description of what was read if it differs from MNIST's
/// form.
pub(super) type Loaded = ((Split, Split), Vec<String>, Option<String>);

/// Reads the data set in the folder `dir`: images of the shape `image` (channels, height, width),
/// of `classes` classes. Labels count from 0; where they count from 1, as in EMNIST's letters, the
/// class of label 1 is the first.
///
/// # Errors
///
/// Returns an error, which names the file and says what to do, if the folder or files are missing,
/// there are several sets, or [`idx_file::split`] would fail.
pub(super) fn load(dir: &Path, image: [usize; 3], classes: usize) -> Result<Loaded> {
    let wrong = |message: &str| Error::Data(format!("{}: {message}", named(dir)));
    if !dir.is_dir() {
        let advice = "name the folder with the four IDX files in [data] dir";
        return Err(wrong(&match FileKind::of_file(dir) {
            Some(FileKind { what, .. }) => format!("this is {what}, not a folder; unpack it, and {advice}"),
            None => format!("no such folder; {advice}"),
        }));
    }
    let (name, files) = only_set(dir)?;
    let name = name.as_str();
    let read = |images: Role, labels: Role| {
        let (images, labels) = (&files[&images], &files[&labels]);
        let open = |path: &Path| File::open(path).map(BufReader::new).map_err(Error::io(path));
        idx_file::unchecked((&named(images), open(images)?), (&named(labels), open(labels)?), image)
    };
    let (mut train, mut test) =
        (read(Role::TrainImages, Role::TrainLabels)?, read(Role::TestImages, Role::TestLabels)?);
    let labels = || train.labels.iter().chain(&test.labels).map(|&label| usize::from(label));
    let [lowest, highest] = [labels().min(), labels().max()].map(Option::unwrap_or_default);
    let counts_from_one = lowest > 0 && highest == classes;
    for (role, split) in [(Role::TrainLabels, &mut train), (Role::TestLabels, &mut test)] {
        if counts_from_one {
            split.labels.iter_mut().for_each(|label| *label -= 1);
        }
        idx_file::check_labels(&named(&files[&role]), split, classes, [lowest, highest])?;
    }
    let names = (0..classes).map(|class| (class + usize::from(counts_from_one)).to_string()).collect();
    let set = if name.is_empty() { String::new() } else { format!(" {name}:") };
    let from = if counts_from_one {
        format!("; labels count from 1 to {classes}, the first class is 1")
    } else {
        String::new()
    };
    let described =
        format!("{}:{set} {} images to train on, {} to test on{from}", dir.display(), train.len(), test.len());
    let usual = name.is_empty() && !counts_from_one;
    Ok(((train, test), names, (!usual).then_some(described)))
}

/// The one complete set in a folder.
fn only_set(dir: &Path) -> Result<(String, Files)> {
    let wrong = |message: &str| Error::Data(format!("{}: {message}", named(dir)));
    let (mut found, others) = sets_of(dir, DEPTH)?;
    let whole = found.iter().filter(|(_, files)| files.len() == ROLES.len()).map(|(name, _)| name.clone());
    match &whole.collect::<Vec<_>>()[..] {
        [name] => Ok(found.remove_entry(name).expect("it was found")),
        [] => Err(wrong(&missing(dir, &found, &others))),
        whole => {
            let names: Vec<&str> =
                whole.iter().map(|name| if name.is_empty() { "train-…, t10k-…" } else { name.as_str() }).collect();
            let names = names.join("; ");
            Err(wrong(&format!(
                "there are {} data sets in it ({names}); put the four files of one into a separate folder, and name that",
                whole.len()
            )))
        }
    }
}

/// Image shape and number of classes of the set in a folder; `None` if no file in it has the name
/// of an IDX file.
///
/// # Errors
///
/// Returns an error if the set is incomplete or there are several, or a file is damaged.
pub(super) fn inspect(dir: &Path) -> Result<Option<([usize; 3], usize)>> {
    if sets_of(dir, DEPTH)?.0.is_empty() {
        return Ok(None);
    }
    let (_, files) = only_set(dir)?;
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(Error::io(path));
    let images = &files[&Role::TrainImages];
    let image = idx_file::image(&named(images), open(images)?)?;
    let mut labels = Vec::new();
    for role in [Role::TrainLabels, Role::TestLabels] {
        labels.extend(idx_file::labels(&named(&files[&role]), open(&files[&role])?)?);
    }
    let [lowest, highest] = [labels.iter().min(), labels.iter().max()].map(|label| label.map_or(0, |&at| at.into()));
    // Labels from 1 are counted as classes.
    Ok(Some((image, if lowest > 0 { highest } else { highest + 1 })))
}

/// The error message for missing files, with the files that are there.
fn missing(dir: &Path, found: &BTreeMap<String, Files>, others: &[String]) -> String {
    let all = "all four files are needed, each plain or with .gz";
    if let [(set, files)] = found.iter().collect::<Vec<_>>()[..] {
        let name = |role: &Role| match set.as_str() {
            "" => role.name().to_string(),
            set => format!("{set}-{}", role.name().replace("t10k", "test")),
        };
        let missing: Vec<_> = ROLES.iter().filter(|role| !files.contains_key(role)).map(name).collect();
        let there: Vec<_> =
            files.values().filter_map(|path| Some(path.strip_prefix(dir).ok()?.display().to_string())).collect();
        return format!("missing: {}; there is {}; {all}", missing.join(", "), there.join(", "));
    }
    if !found.is_empty() {
        let names: Vec<_> = found.keys().map(|name| format!("\"{name}\"")).collect();
        return format!(
            "no data set in it is complete ({}); {all}: images and labels, to train and to test on",
            names.join(", ")
        );
    }
    let names = ROLES.map(Role::name).join(", ");
    if others.is_empty() {
        return format!("missing: {names}; {all}");
    }
    let listed = others.iter().take(LISTED).map(|name| match FileKind::of_file(&dir.join(name)) {
        Some(FileKind { what, .. }) => format!("{name} ({what})"),
        None => name.clone(),
    });
    let (listed, rest) = (listed.collect::<Vec<_>>().join(", "), if others.len() > LISTED { ", …" } else { "" });
    format!(
        "missing: {names}; {all}. A name may have a prefix such as emnist-letters-, and test in place of t10k. There is {listed}{rest}"
    )
}

/// Name of a file or folder in errors.
fn named(path: &Path) -> String {
    format!("idx, {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_set_and_role() {
        for (name, wanted) in [
            ("train-images-idx3-ubyte", Some(("", Role::TrainImages))),
            ("train-labels.idx1-ubyte.gz", Some(("", Role::TrainLabels))),
            ("t10k-images-idx4-ubyte", Some(("", Role::TestImages))),
            ("T10K-LABELS-IDX1-UBYTE.GZ", Some(("", Role::TestLabels))),
            ("emnist-letters-train-images-idx3-ubyte.gz", Some(("emnist-letters", Role::TrainImages))),
            ("emnist-byclass-test-labels-idx1-ubyte", Some(("emnist-byclass", Role::TestLabels))),
            ("qmnist-test-labels-idx2-int.gz", Some(("qmnist", Role::TestLabels))),
            ("train_images.idx", Some(("", Role::TrainImages))),
            ("images_train.idx3", Some(("", Role::TrainImages))),
            ("kmnist-train-images.gz", Some(("kmnist", Role::TrainImages))),
            ("train-labels.ubyte", Some(("", Role::TrainLabels))),
            // Other files of such archives.
            ("emnist-letters-mapping.txt", None),
            ("k49-train-imgs.npz", None),
            ("train-labels.csv", None),
            ("train-images.txt.gz", None),
            ("readme", None),
            ("images-idx3-ubyte", None),
            ("", None),
        ] {
            let wanted = wanted.map(|(set, role)| (set.to_string(), role));
            assert_eq!(recognised(name), wanted, "{name}");
        }
    }
}
