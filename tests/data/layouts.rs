//! Folders of pictures as left by people and their systems: the pictures read from them, and the
//! messages.
use super::{folder, greys, message, picture};
use halfwave::data::{Classes, Dataset};
use halfwave::recipe::{Data, Recipe};
use std::fs;
use std::path::Path;

/// Pictures by their paths, each with a different grey value, from 1.
fn pictures(dir: &Path, paths: &[&str]) {
    (1..).zip(paths).for_each(|(grey, path)| picture(&dir.join(path), grey));
}

/// Grey values of the training, validation and test images, and the description.
fn found(dir: &Path, classes: usize, data: impl Fn(Data) -> Data) -> ([Vec<u8>; 3], String) {
    let (data, described) = Dataset::load_described(&data(folder(dir, classes).into()), Classes::Counted).unwrap();
    let validation = data.validation.as_ref().map_or(Vec::new(), greys);
    ([greys(&data.train), validation, greys(&data.test)], described.unwrap())
}

#[test]
fn what_systems_leave_is_no_class() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    pictures(dir, &["a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/5.png", "b/1.png"]);
    let (plain, _) = found(dir, 2, |data| data);
    assert_eq!(plain, [vec![1, 2, 3, 4, 6], vec![], vec![5]]);
    for system in [
        "__MACOSX",
        "@eaDir",
        "lost+found",
        ".git",
        ".ipynb_checkpoints",
        "$RECYCLE.BIN",
        "System Volume Information",
        "#recycle",
        "a/@eaDir",
        "b/.thumbnails",
    ] {
        picture(&dir.join(system).join("c/1.png"), 99);
        picture(&dir.join(system).join("2.png"), 99);
    }
    for file in ["Thumbs.db", ".DS_Store", "a/desktop.ini", "a/._1.png", "b/Thumbs.db", "b/.hidden.png"] {
        fs::write(dir.join(file), "words").unwrap();
    }
    let mut data: Data = folder(dir, 2).into();
    if let halfwave::recipe::Set::Folder(set) = &mut data.set {
        set.pictures.undecodable = halfwave::recipe::Undecodable::Refuse;
    }
    let data = Dataset::load(&data).unwrap();
    assert_eq!([greys(&data.train), greys(&data.test)], [vec![1, 2, 3, 4, 6], vec![5]]);
}

#[test]
fn a_validation_split_is_what_it_is_called() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    pictures(dir, &["train/a/1.png", "train/b/1.png", "Val/a/1.png", "Val/b/1.png"]);
    let (greys, described) = found(dir, 2, |data| data);
    assert_eq!(greys, [vec![1, 2], vec![], vec![3, 4]]);
    let wanted = format!(
        "{}: 2 classes (a, b); train/ 2 images to train on, Val/ 2 to test on (there is no test/)",
        dir.display()
    );
    assert_eq!(described, wanted);
    picture(&dir.join("testing/a/1.png"), 5);
    let (greys, described) = found(dir, 2, |data| data);
    assert_eq!(greys, [vec![1, 2], vec![3, 4], vec![5]]);
    let wanted = "train/ 2 images to train on, Val/ 2 held out for validation, testing/ 1 to test on";
    assert!(described.ends_with(wanted), "{described}");
    // It is not counted by `limit`, and cannot be drawn a second time.
    let (greys, _) = found(dir, 2, |data| Data { limit: Some(2), test_limit: Some(1), ..data });
    assert_eq!(greys, [vec![1, 2], vec![3, 4], vec![5]]);
    let drawn = Data { validation: halfwave::data::Validation::Share(0.5), ..folder(dir, 2).into() };
    let message = Dataset::load(&drawn).unwrap_err().to_string();
    assert!(message.contains("Val/ holds the validation images, but data.validation = 0.5"), "{message}");
}

#[test]
fn a_recipe_is_trained_with_a_validation_split_of_its_own() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for part in ["train", "val", "test"] {
        (0..10).for_each(|class| picture(&dir.join(format!("{part}/{class}/1.png")), class));
    }
    let text = Recipe::digits().to_toml().replace("set = \"digits\"", "set = \"folder\"");
    let mut recipe = Recipe::parse(&text, "own").unwrap();
    *recipe.data.set.location().unwrap().path = dir.into();
    let data = Dataset::load(&recipe.data).unwrap();
    assert_eq!([data.train.len(), data.validation.as_ref().unwrap().len(), data.test.len()], [10; 3]);
    data.check(&recipe).unwrap();
    // Other sets only hold out images that were drawn.
    let other = Dataset { validation: data.validation.clone(), ..Dataset::load(&Recipe::digits().data).unwrap() };
    assert!(other.check(&Recipe::digits()).unwrap_err().to_string().contains("Dataset::divided"));
}

#[test]
fn folders_inside_a_class_belong_to_it() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    pictures(dir, &["a/1.png", "a/2020/x/1.png", "b/1.png", "b/c/2.png", "b/c/d/e/f/3.png", "b/4.png", "b/5.png"]);
    let deep = (0..300).fold(dir.join("a/deep"), |path, _| path.join("deeper"));
    picture(&deep.join("a.png"), 9);
    fs::create_dir_all(dir.join("a/nothing.png")).unwrap();
    // By path: a/1, a/2020/…, a/deep/…; b/1, b/4, b/5, b/c/2, b/c/d/…, of which the fifth is used
    // for testing.
    let (greys, _) = found(dir, 2, |data| data);
    assert_eq!(greys, [vec![1, 2, 9, 3, 6, 7, 4], vec![], vec![5]]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("set");
    pictures(
        base.path(),
        &["pool/1.png", "pool/2.png", "set/b/1.png", "set/b/2.png", "set/b/3.png", "set/b/4.png", "set/b/5.png"],
    );
    symlink(base.path().join("pool"), dir.join("a")).unwrap();
    symlink("..", dir.join("b/up")).unwrap();
    symlink(".", dir.join("b/here")).unwrap();
    symlink(&dir, base.path().join("pool/back")).unwrap();
    symlink("away", dir.join("b/nowhere")).unwrap();
    let (greys, _) = found(&dir, 2, |data| data);
    // The pool links back to the set, which is above it by then.
    assert_eq!(greys[0].iter().filter(|grey| [1, 2].contains(grey)).count(), 2, "{greys:?}");
    // A forest of links among folders also terminates.
    for (from, to) in (0..6).flat_map(|from| (0..6).map(move |to| (from, to))).filter(|(from, to)| from != to) {
        picture(&dir.join(format!("b/{from}/1.png")), 100);
        symlink(dir.join(format!("b/{to}")), dir.join(format!("b/{from}/to{to}"))).unwrap_or_default();
    }
    found(&dir, 2, |data| data);
}

#[test]
fn wrappers_and_strays_are_seen_through() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    pictures(dir, &["w/a/1.png", "w/b/1.png", "w/b/2.png", "w/b/3.png", "w/b/4.png", "w/b/5.png", "stray.png"]);
    fs::write(dir.join("README.md"), "words").unwrap();
    let (greys, described) = found(dir, 2, |data| data);
    assert_eq!(greys, [vec![1, 2, 3, 4, 5], vec![], vec![6]]);
    assert!(described.starts_with(&format!("{}: 2 classes (a, b);", dir.join("w").display())), "{described}");
    let mut data: Data = folder(dir, 2).into();
    if let halfwave::recipe::Set::Folder(set) = &mut data.set {
        set.pictures.undecodable = halfwave::recipe::Undecodable::Refuse;
    }
    let message = Dataset::load(&data).unwrap_err().to_string();
    let wanted = "2 files cannot be used: README.md (a text file), stray.png (not in a folder named after its class);";
    assert!(message.contains(wanted), "{message}");
}

#[test]
fn what_is_there_instead_of_classes_is_said() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("cats.zip"), b"PK\x03\x04 and so on").unwrap();
    fs::write(dir.join("train.parquet"), b"PAR1 and so on").unwrap();
    let wanted = "no picture that can be read, but cats.zip (a zip archive), train.parquet (a Parquet table); put";
    assert!(message(dir, 2).contains(wanted), "{}", message(dir, 2));
    pictures(dir, &["cat.1.png", "cat.2.png", "dog.1.png"]);
    assert!(
        message(dir, 2).contains("no class folders, but 3 pictures outside any folder; put"),
        "{}",
        message(dir, 2)
    );
    assert!(message(dir, 2).ends_with("If this folder is one class, name the folder above it"), "{}", message(dir, 2));
    pictures(dir, &["images/1.png"]);
    let wanted = "1 class (images), but model.classes = 2. Is this the class? Then write classes = 1";
    assert!(message(dir, 2).contains(wanted), "{}", message(dir, 2));
    // A folder for each class, one of them empty.
    pictures(dir, &["labels/1.png"]);
    fs::create_dir(dir.join("other")).unwrap();
    assert!(message(dir, 3).contains("other holds no picture that can be read; put some there"), "{}", message(dir, 3));
    assert!(message(&dir.join("cats.zip"), 2).contains("this is a zip archive, not a folder; unpack it"), "zip");
}
