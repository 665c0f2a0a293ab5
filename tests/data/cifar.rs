//! CIFAR-10 and CIFAR-100: keys, class names, and the lengths of their files. A run needs the real
//! files, which `CIFAR10_DIR` names.
use crate::recipes::{all_wrong, set_of};
use halfwave::data::{Dataset, class_names};
use halfwave::recipe::{Cifar10, Cifar100, Labels, Set};
use std::fs;

#[test]
fn cifar100_of_another_length_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let message = || {
        let set = Cifar100 { dir: base.path().into(), labels: Labels::Coarse };
        Dataset::load(&set.into()).unwrap_err().to_string()
    };
    assert!(message().contains(": missing: train.bin, test.bin; all 2 files"), "{}", message());
    let train = fs::File::create(base.path().join("train.bin")).unwrap();
    // Long files of zeros take no disk space.
    for len in [0, 3074, 153_699_999, 153_700_001, 1 << 40] {
        train.set_len(len).unwrap();
        let wanted = format!("train.bin: {len} bytes instead of 153700000; fetch or unpack it again");
        assert!(message().contains(&wanted), "{}", message());
    }
    train.set_len(153_700_000).unwrap();
    assert!(message().contains(": missing: test.bin;"), "{}", message());
}

#[test]
fn classes_of_cifar100_have_their_names() {
    for (labels, len, first, last) in
        [(Labels::Fine, 100, "apple", "worm"), (Labels::Coarse, 20, "aquatic_mammals", "vehicles_2")]
    {
        let set = Set::from(Cifar100 { dir: "anywhere".into(), labels });
        let names = class_names(&set).unwrap();
        assert_eq!((names.len(), set.classes()), (len, len));
        assert_eq!((names[0].as_str(), names[len - 1].as_str()), (first, last));
        // The set's lists are in alphabetical order.
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}

/// The real files, in the folder given by `CIFAR10_DIR`.
#[test]
fn cifar10_is_whole() {
    let Some(dir) = std::env::var_os("CIFAR10_DIR").filter(|dir| !dir.is_empty()) else {
        eprintln!("SKIPPED: CIFAR10_DIR is not set; name the folder with CIFAR-10's binary version");
        return;
    };
    let data = Dataset::load(&Cifar10 { dir: dir.into() }.into()).unwrap();
    assert_eq!((data.channels, data.height, data.width, data.classes), (3, 32, 32, 10));
    for (split, each) in [(&data.train, 5000), (&data.test, 1000)] {
        let pixels = split.in_memory().unwrap();
        assert_eq!(pixels.len(), split.len() * split.image_len());
        let count = |class: u16| split.labels.iter().filter(|&&label| label == class).count();
        assert!((0..10).all(|class| count(class) == each), "every class has {each} images");
        assert!(pixels.iter().any(|&pixel| pixel != pixels[0]), "pictures are not blank");
    }
}

#[test]
fn cifar100_has_fine_and_coarse_labels() {
    let colour = [3, 32, 32];
    let fine = Set::from(Cifar100 { dir: "cifar-100-binary".into(), labels: Labels::Fine });
    assert_eq!(set_of("set = \"cifar100\"", colour, 100), fine);
    assert_eq!(set_of("set = \"cifar100\"\nlabels = \"fine\"", colour, 100), fine);
    let coarse = Set::from(Cifar100 { dir: "else/where".into(), labels: Labels::Coarse });
    assert_eq!(set_of("set = \"cifar100\"\ndir = \"else/where\"\nlabels = \"coarse\"", colour, 20), coarse);
}

#[test]
fn wrong_keys_are_refused() {
    all_wrong(&[
        ("set = \"cifar100\"", [1, 8, 8], 100, 2, &["input = [1, 8, 8]", "cifar100", "[3, 32, 32]"]),
        ("set = \"cifar100\"", [3, 32, 32], 20, 3, &["classes = 20", "labels = \"fine\" has 100 classes"]),
        (
            "set = \"cifar100\"\nlabels = \"coarse\"",
            [3, 32, 32],
            100,
            3,
            &["classes = 100", "labels = \"coarse\" has 20 classes; write classes = 20"],
        ),
        (
            "set = \"cifar100\"\nlabels = \"corse\"",
            [3, 32, 32],
            20,
            33,
            &["labels = \"corse\"", "did you mean \"coarse\"?"],
        ),
        (
            "set = \"cifar100\"\nlabels = 20",
            [3, 32, 32],
            20,
            33,
            &["labels = 20", "expected one of fine, coarse, in quotes"],
        ),
        ("set = \"cifar100\"\ndir = \"\"", [3, 32, 32], 100, 33, &["name the folder"]),
        (
            "set = \"cifar10\"\nlabels = \"fine\"",
            [3, 32, 32],
            10,
            33,
            &["unknown key \"labels\", which only cifar100 has", "expected one of set, dir, scale"],
        ),
        ("set = \"cifar1000\"", [3, 32, 32], 100, 32, &["did you mean \"cifar100\"?"]),
    ]);
}
