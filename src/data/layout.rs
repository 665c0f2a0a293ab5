//! Determines which folders of a tree of pictures are splits, and which are classes.
//!
//! Only the paths of the pictures are examined, so the same rules hold for a folder on disk and for
//! files chosen in a browser:
//!
//! 1. Files and folders created by operating systems and tools ([`is_system`]) are ignored.
//! 2. A folder that contains only one folder, which in turn contains several folders and no
//!    pictures directly, is a wrapper: the inner one counts.
//! 3. Folders named as in [`SPLITS`], in any case and combined with [`FILLERS`], are splits if one
//!    of them is for training, contains class folders, and is the only folder or beside another
//!    split. All others are classes.
//! 4. A class is a folder with everything in its subfolders; where every class is divided into such
//!    splits, they are splits. A picture in none is left out.
//! 5. Without a test split, the validation split is used for testing; without either, a share of
//!    every class.
use super::Part;
use std::collections::BTreeMap;

/// Names of splits, in lower case.
const SPLITS: [(&str, Part); 9] = [
    ("train", Part::Train),
    ("training", Part::Train),
    ("val", Part::Validation),
    ("valid", Part::Validation),
    ("validation", Part::Validation),
    ("dev", Part::Validation),
    ("test", Part::Test),
    ("testing", Part::Test),
    ("eval", Part::Test),
];

/// Words that a split's name may also contain: `training_set`, `seg_train`, `test-images`.
const FILLERS: [&str; 10] = ["set", "data", "dataset", "images", "image", "imgs", "pictures", "seg", "split", "folder"];

/// Files and folders, in lower case, that operating systems and tools create. All names that start
/// with a dot count too.
const SYSTEM: [&str; 17] = [
    "__macosx",
    "__pycache__",
    "@eadir",
    "@tmp",
    "#recycle",
    "@recycle",
    "_gsdata_",
    "cvs",
    "#snapshot",
    "lost+found",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
];

/// Whether a file or folder of this name was created by the system rather than a person.
pub fn is_system(name: &str) -> bool {
    name.starts_with('.') || SYSTEM.contains(&name.to_lowercase().as_str())
}

/// The reason for leaving out a picture without a class.
pub const NO_CLASS: &str = "not in a folder named after its class";

/// Class and split of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index in [`Layout::classes`].
    pub class: usize,
    /// The split; `None` where a share of every class is used for testing.
    pub part: Option<Part>,
}

/// Structure of a tree of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The folder that holds the classes or splits, relative to the top of the tree: empty, or with
    /// a trailing slash.
    pub root: String,
    /// The folder of the training classes, in the same form.
    pub train: String,
    /// The folders of the splits, by the part that they are used as; empty if there are only
    /// classes.
    pub splits: BTreeMap<Part, String>,
    /// Names of the classes, ordered.
    pub classes: Vec<String>,
    /// For each path its class and split, or why it is left out.
    pub places: Vec<Result<Place, String>>,
}

/// Contents of a folder.
struct Folder<'a> {
    folders: Vec<&'a str>,
    /// Whether it directly contains pictures.
    pictures: bool,
}

/// The paths of pictures, with slashes, ordered.
struct Tree<'a>(&'a [&'a str]);

impl<'a> Tree<'a> {
    /// The paths below `prefix`, which ends with a slash or is empty.
    fn below(&self, prefix: &str) -> &'a [&'a str] {
        let begin = self.0.partition_point(|path| *path < prefix);
        let len = self.0[begin..].iter().take_while(|path| path.starts_with(prefix)).count();
        &self.0[begin..begin + len]
    }

    fn folder(&self, prefix: &str) -> Folder<'a> {
        let mut folder = Folder { folders: Vec::new(), pictures: false };
        for path in self.below(prefix) {
            match path[prefix.len()..].split_once('/') {
                Some((name, _)) if folder.folders.last() == Some(&name) => {}
                Some((name, _)) => folder.folders.push(name),
                None => folder.pictures = true,
            }
        }
        // Although paths are ordered, `a/` may occur on both sides of `a-b/`.
        folder.folders.sort_unstable();
        folder.folders.dedup();
        folder
    }

    /// `prefix`, or the folder inside it that it wraps.
    fn unwrapped(&self, prefix: &str) -> String {
        let mut inner = prefix.to_string();
        loop {
            let [only] = self.folder(&inner).folders[..] else { return prefix.to_string() };
            inner += &format!("{only}/");
            let found = self.folder(&inner);
            if found.pictures {
                return prefix.to_string();
            }
            if found.folders.len() > 1 || self.has_splits(&inner) {
                return inner;
            }
        }
    }

    fn has_splits(&self, prefix: &str) -> bool {
        let folders = self.folder(prefix).folders;
        let splits: Vec<_> = folders.iter().filter_map(|name| Some((name, split_of(name)?))).collect();
        let trained =
            |(name, part): &(&&str, Part)| *part == Part::Train && self.has_classes(&format!("{prefix}{name}/"));
        splits.iter().any(trained) && (splits.len() > 1 || folders.len() == 1)
    }

    /// The splits into which every one of these classes is divided, if they are.
    fn splits_inside(&self, root: &str, classes: &[&str]) -> Option<BTreeMap<Part, &'a str>> {
        let mut splits = BTreeMap::new();
        for class in classes {
            let folder = self.folder(&format!("{root}{class}/"));
            if folder.pictures {
                return None;
            }
            for name in folder.folders {
                if splits.insert(split_of(name)?, name).is_some_and(|other| other != name) {
                    return None;
                }
            }
        }
        (splits.contains_key(&Part::Train) && splits.len() > 1).then(|| tested(splits))
    }

    fn has_classes(&self, prefix: &str) -> bool {
        !self.folder(prefix).folders.is_empty()
    }
}

/// Without a test split, the validation split is used for testing.
fn tested(mut splits: BTreeMap<Part, &str>) -> BTreeMap<Part, &str> {
    if !splits.contains_key(&Part::Test)
        && let Some(name) = splits.remove(&Part::Validation)
    {
        splits.insert(Part::Test, name);
    }
    splits
}

/// The split that a folder of this name represents.
pub(super) fn split_of(name: &str) -> Option<Part> {
    let name = name.to_lowercase();
    let mut words = name.split(['_', '-', ' ', '.']).filter(|word| !FILLERS.contains(word));
    let (word, None) = (words.next()?, words.next()) else { return None };
    let known = |word: &str| SPLITS.iter().find(|(known, _)| *known == word).map(|(_, part)| *part);
    known(word).or_else(|| FILLERS.iter().find_map(|filler| known(word.strip_suffix(filler)?)))
}

/// Determines the structure of pictures from their paths: with slashes, ordered, and without those
/// that [`is_system`] excludes.
///
/// # Errors
///
/// Returns an error if there are splits without one for training, two splits of one kind, or a
/// class that is not in the training split.
pub fn arrange(paths: &[&str]) -> Result<Layout, String> {
    debug_assert!(paths.is_sorted());
    let tree = Tree(paths);
    let root = if tree.has_splits("") { String::new() } else { tree.unwrapped("") };
    let folders = tree.folder(&root).folders;
    if !tree.has_splits(&root) {
        let names = folders.iter().map(|name| name.to_string());
        if folders.len() > 1 && folders.iter().all(|name| split_of(name).is_some_and(|part| part != Part::Train)) {
            return Err(format!("there are {} but no train/; put the training pictures there", listed(&folders)));
        }
        if folders.len() > 1 && folders.iter().all(|name| split_of(name).is_some()) {
            return Err(format!(
                "{} hold pictures, but no class folders; put the pictures of each class into a separate folder in each",
                listed(&folders)
            ));
        }
        let inside = tree.splits_inside(&root, &folders);
        let splits = inside.iter().flatten().map(|(part, name)| (*part, format!("each class's {name}/"))).collect();
        let mut layout = Layout { train: root.clone(), classes: names.collect(), root, splits, places: Vec::new() };
        let part = |path: &str| {
            let name = path.strip_prefix(layout.root.as_str())?.split('/').nth(1)?;
            inside.as_ref()?.iter().find(|(_, known)| **known == name).map(|(part, _)| *part)
        };
        layout.places = paths.iter().map(|path| layout.place(path, &layout.root, part(path))).collect();
        return Ok(layout);
    }
    let mut splits = BTreeMap::new();
    for (name, part) in folders.iter().filter_map(|name| Some((*name, split_of(name)?))) {
        let prefix = format!("{root}{name}/");
        if part != Part::Train && tree.folder(&prefix).folders.is_empty() {
            continue; // Pictures without a class, as in competitions.
        }
        if let Some(other) = splits.insert(part, name) {
            let what = part.name();
            return Err(format!("both {other}/ and {name}/ hold {what} images; keep one, or merge them"));
        }
    }
    let splits = tested(splits);
    let inner: BTreeMap<Part, String> =
        splits.iter().map(|(part, name)| (*part, tree.unwrapped(&format!("{root}{name}/")))).collect();
    let train = inner[&Part::Train].clone();
    let classes: Vec<String> = tree.folder(&train).folders.iter().map(|name| name.to_string()).collect();
    for (part, name) in &splits {
        let unknown =
            tree.folder(&inner[part]).folders.into_iter().find(|class| !classes.iter().any(|known| known == class));
        if let Some(class) = unknown {
            let (folder, trained) = (format!("{name}/{class}"), splits[&Part::Train]);
            let alike = classes.iter().find(|known| known.to_lowercase() == class.to_lowercase());
            let advice = match alike {
                Some(known) => format!("there is {trained}/{known}, so call it {name}/{known}"),
                None => "every class is trained on: add it there, or remove it here".to_string(),
            };
            return Err(format!("there is {folder}, but no {trained}/{class}; {advice}"));
        }
    }
    let shared = splits.len() == 1;
    let splits = splits.into_iter().map(|(part, name)| (part, format!("{name}/"))).collect();
    let mut layout = Layout { root, train, splits, classes, places: Vec::new() };
    let place = |path: &&str| {
        let split = inner.iter().find(|(_, prefix)| path.starts_with(prefix.as_str()));
        match split {
            Some((part, prefix)) => layout.place(path, prefix, (!shared).then_some(*part)),
            None => Err(NO_CLASS.to_string()),
        }
    };
    layout.places = paths.iter().map(place).collect();
    Ok(layout)
}

impl Layout {
    /// Class and split of the picture `path` in the folder `prefix` of classes.
    fn place(&self, path: &str, prefix: &str, part: Option<Part>) -> Result<Place, String> {
        let class = path.strip_prefix(prefix).and_then(|rest| rest.split_once('/')).map(|(class, _)| class);
        let class = class.and_then(|class| self.classes.binary_search_by(|known| known.as_str().cmp(class)).ok());
        class.map(|class| Place { class, part }).ok_or_else(|| NO_CLASS.to_string())
    }
}

/// "a/, b/ and c/", from names of folders.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("{one}/"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("{name}/")).collect();
            format!("{} and {last}/", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(paths: &[&str]) -> Result<Layout, String> {
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        arrange(&paths)
    }

    /// Classes, and the paths of each part with the class; `-` stands for none.
    fn told(paths: &[&str]) -> String {
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        match arrange(&paths) {
            Err(message) => message,
            Ok(layout) => {
                let place = |(path, place): (&&str, &Result<Place, String>)| match place {
                    Ok(Place { class, part: Some(part) }) => format!("{path}:{}:{class}", part.name()),
                    Ok(Place { class, part: None }) => format!("{path}:{class}"),
                    Err(_) => format!("{path}:-"),
                };
                let places: Vec<_> = paths.iter().zip(&layout.places).map(place).collect();
                format!("{} | {}", layout.classes.join(" "), places.join(" "))
            }
        }
    }

    #[test]
    fn classes_alone_with_whatever_is_inside() {
        assert_eq!(told(&["a/1", "b/2"]), "a b | a/1:0 b/2:1");
        assert_eq!(told(&["a/x/y/1", "a/2", "b/2", "1"]), "a b | 1:- a/2:0 a/x/y/1:0 b/2:1");
        // Ordered by name, whatever sorts between a folder and its contents.
        assert_eq!(told(&["a/1", "a-b/2", "a/3", "a.c/4"]), "a a-b a.c | a-b/2:1 a.c/4:2 a/1:0 a/3:0");
        assert_eq!(told(&["only/1"]), "only | only/1:0");
        // A single class in folders that directly contain pictures.
        assert_eq!(told(&["only/1", "only/deep/2"]), "only | only/1:0 only/deep/2:0");
        assert_eq!(told(&["only/deep/2"]), "only | only/deep/2:0");
        assert_eq!(told(&["1", "2"]), " | 1:- 2:-");
        assert_eq!(told(&[]), " | ");
    }

    #[test]
    fn splits_by_their_usual_names() {
        let wanted = "a b | train/a/1:training:0 train/b/2:training:1 val/a/3:validation:0 test/b/4:test:1";
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.to_lowercase().split(' ').map(String::from).collect();
            words.sort();
            words
        };
        for [train, val, test] in [
            ["train", "val", "test"],
            ["Train", "Valid", "Test"],
            ["TRAINING", "dev", "testing"],
            ["training", "validation", "eval"],
            ["training_set", "dev-set", "test_set"],
            ["seg_train", "seg_val", "seg_test"],
            ["TrainImages", "valset", "test data"],
        ] {
            let paths = [format!("{train}/a/1"), format!("{train}/b/2"), format!("{val}/a/3"), format!("{test}/b/4")];
            let paths = paths.each_ref().map(String::as_str);
            let wanted = wanted.replace("train/", &format!("{train}/")).replace("val/", &format!("{val}/"));
            assert_eq!(sorted(&told(&paths)), sorted(&wanted.replace("test/", &format!("{test}/"))));
        }
        // Every class is divided.
        assert_eq!(
            told(&["a/train/1", "a/test/2", "b/train/3", "b/test/4"]),
            "a b | a/test/2:test:0 a/train/1:training:0 b/test/4:test:1 b/train/3:training:1"
        );
        assert_eq!(
            told(&["a/train/1", "a/val/2", "b/train/3"]),
            "a b | a/train/1:training:0 a/val/2:test:0 b/train/3:training:1"
        );
        assert_eq!(told(&["a/train/1", "a/test/2", "b/3"]), "a b | a/test/2:0 a/train/1:0 b/3:1");
        // Without a test split, the validation split is used for testing.
        assert_eq!(told(&["train/a/1", "val/a/2"]), "a | train/a/1:training:0 val/a/2:test:0");
        // Without any other split, a share is used for testing.
        assert_eq!(told(&["train/a/1", "train/b/2"]), "a b | train/a/1:0 train/b/2:1");
        assert_eq!(told(&["train/a/1"]), "a | train/a/1:0");
        // Pictures without a class, as in competitions, and folders beside the splits.
        assert_eq!(told(&["train/a/1", "test/2"]), "a | test/2:- train/a/1:0");
        assert_eq!(
            told(&["train/a/1", "test/a/2", "extra/a/3", "4", "train/5"]),
            "a | 4:- extra/a/3:- test/a/2:test:0 train/5:- train/a/1:training:0"
        );
    }

    #[test]
    fn classes_may_be_called_like_splits() {
        assert_eq!(told(&["bus/1", "train/2"]), "bus train | bus/1:0 train/2:1");
        assert_eq!(told(&["bus/1", "train/steam/2"]), "bus train | bus/1:0 train/steam/2:1");
    }

    #[test]
    fn wrappers_are_looked_through() {
        assert_eq!(told(&["w/a/1", "w/b/2"]), "a b | w/a/1:0 w/b/2:1");
        assert_eq!(told(&["w/v/a/1", "w/v/b/2", "stray"]), "a b | stray:- w/v/a/1:0 w/v/b/2:1");
        assert_eq!(told(&["w/train/a/1", "w/test/a/2"]), "a | w/test/a/2:test:0 w/train/a/1:training:0");
        assert_eq!(told(&["w/train/a/1"]), "a | w/train/a/1:0");
        // A split may contain a wrapper.
        assert_eq!(
            told(&["train/train/a/1", "train/train/b/2", "test/test/a/3", "test/test/b/4"]),
            "a b | test/test/a/3:test:0 test/test/b/4:test:1 train/train/a/1:training:0 train/train/b/2:training:1"
        );
        let found = layout(&["w/train/a/1", "w/train/b/1"]).unwrap();
        assert_eq!((found.root.as_str(), found.train.as_str()), ("w/", "w/train/"));
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for (paths, wanted) in [
            (&["test/a/1", "val/a/2"][..], "there are test/ and val/ but no train/"),
            (&["train/a/1", "test/b/2"], "there is test/b, but no train/b; every class is trained on"),
            (&["train/cat/1", "test/Cat/2"], "there is train/cat, so call it test/cat"),
            (&["test/1", "train/2"], "test/ and train/ hold pictures, but no class folders"),
            (&["train/a/1", "Training/a/2"], "both Training/ and train/ hold training images"),
            (&["train/a/1", "test/a/1", "val/a/2", "dev/a/2"], "both dev/ and val/ hold validation images"),
        ] {
            let message = layout(paths).unwrap_err();
            assert!(message.contains(wanted), "{message}\nshould say {wanted}");
        }
    }

    #[test]
    fn names_of_systems_are_known_in_every_case() {
        for name in [
            ".DS_Store",
            "._1.png",
            ".git",
            "__MACOSX",
            "@eaDir",
            "lost+found",
            "$RECYCLE.BIN",
            "Thumbs.db",
            "System Volume Information",
        ] {
            assert!(is_system(name), "{name}");
        }
        assert!(!["a", "train", "icon", "lost", "recycle"].iter().any(|name| is_system(name)));
    }
}
