//! `[data]`: sets that are read from a folder, and their requirements on the model.
use super::{RIGHT, wrong};
use halfwave::model::{Flatten, Linear};
use halfwave::network::Network;
use halfwave::recipe::{
    Augment, Cifar100, Data, Digits, Fit, Folder, Idx, Labels, Npz, Padding, Pictures, Recipe, Set, Undecodable,
};

/// [`RIGHT`] with another set: its `[data]`, and the model's input and number of classes.
fn text(data: &str, input: [usize; 3], classes: usize) -> String {
    RIGHT
        .replace("set = \"digits\"", data)
        .replace("input = [1, 8, 8]", &format!("input = {input:?}"))
        .replace("classes = 10", &format!("classes = {classes}"))
        .replace("units = 10", &format!("units = {classes}"))
}

/// Reads a recipe, writes it and reads it again; the two must be equal.
fn read(data: &str, input: [usize; 3], classes: usize) -> (Data, String) {
    let recipe = Recipe::parse(&text(data, input, classes), "given.toml").unwrap();
    let resolved = recipe.to_toml();
    assert_eq!(Recipe::parse(&resolved, "resolved.toml").unwrap(), recipe, "{resolved}");
    (recipe.data, resolved)
}

fn set(data: &str, input: [usize; 3], classes: usize) -> Set {
    let data = read(data, input, classes).0;
    assert_eq!(data.scale, [1.0 / 255.0, 0.0]);
    data.set
}

#[test]
fn a_folder_says_how_pictures_become_images() {
    let keys = |data: &str, input| {
        let (data, resolved) = read(&format!("set = \"folder\"\n{data}"), input, 10);
        let source = data.set.source();
        let Set::Folder(Folder { pictures, image, .. }) = data.set else { panic!("it is a folder") };
        assert_eq!(image, input);
        (pictures, source, resolved)
    };
    let (pictures, source, resolved) = keys("", [3, 8, 12]);
    assert_eq!((&pictures, source), (&Pictures::default(), [3, 8, 12]));
    let spelt = "test_share = 0.2\nfit = \"stretch\"\nresize = 8\nundecodable = \"skip\"\nstream_above = 1024\n";
    assert!(resolved.contains(spelt), "{resolved}");
    // The shorter side of the input is the default.
    assert_eq!(keys("resize = 8", [3, 8, 12]).0, Pictures::default());
    let all = "test_share = 0.25\nfit = \"crop\"\nresize = 11\nundecodable = \"refuse\"\nstream_above = 0";
    let (pictures, source, _) = keys(all, [3, 8, 12]);
    let (fit, undecodable) = (Fit::Crop, Undecodable::Refuse);
    assert_eq!(pictures, Pictures { test_share: 0.25, fit, resize: Some(11), undecodable, stream_above: 0 });
    // 16.5 columns are rounded to 17.
    assert_eq!(source, [3, 11, 17]);
    assert_eq!(keys("resize = 256", [1, 224, 224]).1, [1, 256, 256]);
}

#[test]
fn a_part_of_a_set_may_be_asked_for() {
    let (whole, resolved) = read("set = \"digits\"", [1, 8, 8], 10);
    assert_eq!((whole.clone(), whole.keeps_all()), (Digits.into(), true));
    assert!(resolved.contains("validation = 0.0\n") && !resolved.contains("limit"), "{resolved}");
    let (part, _) = read("set = \"digits\"\nvalidation = 0.1\nlimit = 1000\ntest_limit = 100", [1, 8, 8], 10);
    assert_eq!((part.validation, part.limit, part.test_limit), (0.1, Some(1000), Some(100)));
    assert_eq!((part.train_len(), part.keeps_all()), (Some(900), false));
    for (data, train_len) in [
        ("set = \"digits\"\nvalidation = 0.25", Some(1437 - 359)),
        ("set = \"digits\"\nlimit = 5000", Some(1437)),
        ("set = \"digits\"\ntest_limit = 1", Some(1437)),
        ("set = \"idx\"\nlimit = 100\nvalidation = 0.5", None),
    ] {
        let (part, _) = read(data, [1, 8, 8], 10);
        assert_eq!((part.train_len(), part.keeps_all()), (train_len, false), "{data}");
    }
}

#[test]
fn a_batch_is_one_of_the_images_that_are_left() {
    let whole = text("set = \"digits\"\nvalidation = 0.5", [1, 8, 8], 10)
        .replace("batch = 64", "batch = 800\ndrop_last = true");
    let (line, message) = wrong(&whole);
    assert!(message.contains("no batch is left of the 718 training images"), "{message}");
    assert_eq!(line, 36);
    Recipe::parse(&whole.replace("validation = 0.5\n", ""), "whole").unwrap();
}

#[test]
fn cifar100_has_fine_and_coarse_labels() {
    let colour = [3, 32, 32];
    let fine = Set::from(Cifar100 { dir: "cifar-100-binary".into(), labels: Labels::Fine });
    assert_eq!(set("set = \"cifar100\"", colour, 100), fine);
    assert_eq!(set("set = \"cifar100\"\nlabels = \"fine\"", colour, 100), fine);
    let coarse = Set::from(Cifar100 { dir: "else/where".into(), labels: Labels::Coarse });
    assert_eq!(set("set = \"cifar100\"\ndir = \"else/where\"\nlabels = \"coarse\"", colour, 20), coarse);
}

#[test]
fn idx_has_what_the_model_asks_for() {
    let wanted = |dir: &str, image, classes| Set::from(Idx { dir: dir.into(), image, classes });
    assert_eq!(set("set = \"idx\"", [1, 28, 28], 10), wanted("mnist", [1, 28, 28], 10));
    assert_eq!(set("set = \"idx\"\ndir = \"a/b\"", [2, 8, 9], 256), wanted("a/b", [2, 8, 9], 256));
}

#[test]
fn npz_names_a_file() {
    let wanted = |file: &str| Set::from(Npz { file: file.into(), image: [3, 28, 28], classes: 9 });
    assert_eq!(set("set = \"npz\"", [3, 28, 28], 9), wanted("mnist.npz"));
    let (data, resolved) = read("set = \"npz\"\nfile = \"a/pathmnist.npz\"", [3, 28, 28], 9);
    assert_eq!(data.set, wanted("a/pathmnist.npz"));
    let written = "[data]\nset = \"npz\"\nfile = \"a/pathmnist.npz\"\nscale = [0.003921569, 0.0]\nmean_image = false\n";
    assert!(resolved.contains(written), "{resolved}");
}

/// The data that a network built in code names by default has every shape that a network may have.
#[test]
fn networks_in_code_need_no_data_set() {
    for (channels, classes) in [(1, 10), (2, 257), (5, 65_536)] {
        let units = Linear { units: classes, ..Linear::default() };
        let recipe = Network::builder([channels, 2, 3], classes).layer(Flatten).layer(units).recipe().unwrap();
        assert_eq!((recipe.data.set.image(), recipe.data.set.classes()), ([channels, 2, 3], classes));
        assert_eq!(Recipe::parse(&recipe.to_toml(), "resolved.toml").unwrap(), recipe);
    }
}

#[test]
fn what_a_set_does_not_hold_is_refused() {
    let colour = [3, 32, 32];
    for (data, input, classes, line, parts) in [
        ("set = \"cifar100\"", [1, 8, 8], 100, 2, &["input = [1, 8, 8]", "cifar100", "[3, 32, 32]"][..]),
        ("set = \"cifar100\"", colour, 20, 3, &["classes = 20", "labels = \"fine\" has 100 classes"]),
        (
            "set = \"cifar100\"\nlabels = \"coarse\"",
            colour,
            100,
            3,
            &["classes = 100", "labels = \"coarse\" has 20 classes; write that"],
        ),
        ("set = \"cifar100\"\nlabels = \"corse\"", colour, 20, 33, &["labels = \"corse\"", "did you mean \"coarse\"?"]),
        ("set = \"cifar100\"\nlabels = 20", colour, 20, 33, &["labels = 20", "string in quotes"]),
        ("set = \"cifar100\"\ndir = \"\"", colour, 100, 33, &["name the folder"]),
        (
            "set = \"cifar10\"\nlabels = \"fine\"",
            colour,
            10,
            33,
            &["unknown key \"labels\", which only cifar100 has", "expected one of set, dir, scale"],
        ),
        (
            "set = \"idx\"\nlabels = \"fine\"",
            [1, 8, 8],
            10,
            33,
            &["[data] (idx)", "\"labels\", which only cifar100 has"],
        ),
        ("set = \"idx\"\ndir = \"\"", [1, 8, 8], 10, 33, &["name the folder"]),
        ("set = \"idx\"", [1, 8, 8], 257, 3, &["classes = 257", "single bytes", "at most 256 classes"]),
        ("set = \"npz\"\nfile = \"\"", [1, 8, 8], 10, 33, &["name the .npz file"]),
        (
            "set = \"npz\"\ndir = \"a\"",
            [1, 8, 8],
            10,
            33,
            &["\"dir\", which only cifar10, cifar100, idx and folder have", "expected one of set, file, scale"],
        ),
        (
            "set = \"idx\"\nfile = \"a\"",
            [1, 8, 8],
            10,
            33,
            &["\"file\", which only npz has", "expected one of set, dir, scale"],
        ),
        (
            "set = \"digits\"\ndir = \"a\"",
            [1, 8, 8],
            10,
            33,
            &["[data] (digits)", "\"dir\", which only cifar10", "expected one of set, scale"],
        ),
        ("set = \"npz\"", [1, 8, 8], 70_000, 3, &["classes = 70000", "npz has at most 65536 classes"]),
        ("set = \"digits\"\nvalidation = 1", [1, 8, 8], 10, 33, &["validation = 1", "from 0 to below 1"]),
        ("set = \"digits\"\nvalidation = -0.1", [1, 8, 8], 10, 33, &["validation = -0.1", "such as 0.1"]),
        ("set = \"digits\"\nvalidation = true", [1, 8, 8], 10, 33, &["validation = true", "give a share"]),
        (
            "set = \"digits\"\nvalidation = 1e-4",
            [1, 8, 8],
            10,
            33,
            &["of 1437 images this holds out none", "a larger share"],
        ),
        ("set = \"digits\"\nvalidation = 0.999", [1, 8, 8], 10, 33, &["1 images are left", "10 classes; give less"]),
        ("set = \"digits\"\nlimit = 0", [1, 8, 8], 10, 33, &["limit = 0", "from 1"]),
        ("set = \"digits\"\nlimit = 9", [1, 8, 8], 10, 33, &["9 images are left", "10 classes; give more images"]),
        ("set = \"folder\"\nlimit = 9", [1, 8, 8], 10, 33, &["9 images are left", "10 classes"]),
        ("set = \"digits\"\ntest_limit = 0.5", [1, 8, 8], 10, 33, &["test_limit = 0.5", "whole number"]),
        ("set = \"digits\"\nlimits = 9", [1, 8, 8], 10, 33, &["unknown key \"limits\"", "did you mean \"limit\"?"]),
        (
            "set = \"digits\"\nfit = \"crop\"",
            [1, 8, 8],
            10,
            33,
            &["\"fit\", which only folder has", "expected one of set, scale"],
        ),
        ("set = \"idx\"\nstream_above = 1", [1, 8, 8], 10, 33, &["\"stream_above\", which only folder has"]),
        ("set = \"folder\"\nfit = \"cut\"", [1, 8, 8], 10, 33, &["fit = \"cut\"", "expected one of stretch, crop"]),
        ("set = \"folder\"\ntest_share = 0", [1, 8, 8], 10, 33, &["test_share = 0", "above 0 and below 1"]),
        ("set = \"folder\"\ntest_share = 1", [1, 8, 8], 10, 33, &["test_share = 1", "such as 0.2"]),
        ("set = \"folder\"\nresize = 7", [1, 8, 8], 10, 33, &["resize = 7", "model.input is 8", "at least that"]),
        ("set = \"folder\"\nresize = 20000", [1, 8, 8], 10, 33, &["resize = 20000", "from 1 to 16384"]),
        (
            "set = \"folder\"\nresize = 9000",
            [1, 8, 16],
            10,
            33,
            &["images of 9000 × 18000 pixels", "longer than 16384"],
        ),
        (
            "set = \"folder\"\nundecodable = \"drop\"",
            [1, 8, 8],
            10,
            33,
            &["undecodable", "expected one of skip, refuse"],
        ),
        ("set = \"folder\"\nstream_above = -1", [1, 8, 8], 10, 33, &["stream_above = -1", "whole number from 0"]),
        ("set = \"cifar1000\"", colour, 100, 32, &["did you mean \"cifar100\"?"]),
        (
            "labels = \"fine\"",
            colour,
            100,
            31,
            &["set is missing; add set = one of digits, cifar10, cifar100, idx, folder, npz"],
        ),
    ] {
        let (at, message) = wrong(&text(data, input, classes));
        assert_eq!(at, line, "{data}: {message}");
        for part in parts {
            assert!(message.contains(part), "{data}: {message}\nshould say {part}");
        }
    }
}

#[test]
fn pixels_are_normalised_and_changed_as_asked() {
    let (plain, resolved) = read("set = \"digits\"", [1, 8, 8], 10);
    assert_eq!((plain.mean, plain.std, plain.mean_image, plain.augment), (vec![], vec![], false, Augment::default()));
    let spelt = "\n[data.augment]\npad = 0\npadding = \"zero\"\nmirror = false\ncutout = 0\n";
    assert!(resolved.contains(spelt) && !resolved.contains("std"), "{resolved}");

    let all = "set = \"cifar10\"\nmean = [0.5, 0.25, 0]\nstd = [1, 2.5, 0.125]\nmean_image = true\n\
               [data.augment]\npad = 4\npadding = \"reflect\"\nmirror = true\ncutout = 16";
    let (data, _) = read(all, [3, 32, 32], 10);
    assert_eq!((data.mean, data.std, data.mean_image), (vec![0.5, 0.25, 0.0], vec![1.0, 2.5, 0.125], true));
    assert_eq!(data.augment, Augment { pad: 4, padding: Padding::Reflect, mirror: true, cutout: 16 });
}

#[test]
fn wrong_ways_to_normalise_and_change_are_refused() {
    let refused = |data: &str, parts: &[&str]| {
        let error = Recipe::parse(&text(&format!("set = \"cifar10\"\n{data}"), [3, 32, 32], 10), "a.toml").unwrap_err();
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    for number in ["nan", "-nan", "inf", "-inf", "1e39"] {
        refused(&format!("scale = [{number}, 0]"), &["scale", "[a, b]"]);
        refused(&format!("scale = [1, {number}]"), &["scale", "[a, b]"]);
        refused(&format!("mean = [0, {number}, 0]"), &["mean", "a list of 3"]);
        refused(&format!("std = [1, 1, {number}]"), &["std", "a list of 3"]);
    }
    // Each number is finite, but the resulting pixel values are not, or are all equal.
    refused("scale = [1e38, 0]", &["scale", "pixels of channel 0 become 0e0 to inf, too large"]);
    refused("scale = [1, 3e38]", &["scale", "too large for a network"]);
    refused("std = [1, 1e-45, 1]", &["std", "pixels of channel 1 become 0e0 to inf, too large"]);
    refused("mean = [0, 0, -3e38]", &["mean", "pixels of channel 2"]);
    refused("scale = [1e-10, 1]", &["scale", "every pixel of channel 0 becomes 1e0, so all images look the same"]);
    refused("scale = [1e-46, 0]", &["scale", "must not be 0"]);
    refused("mean = [1e10, 0, 0]", &["mean", "every pixel of channel 0"]);
    refused("std = [1, 1, 1e38]\nscale = [1e-20, 0]", &["std", "every pixel of channel 2 becomes 0e0"]);
    refused("mean = [0.5]", &["mean", "a list of 3"]);
    refused("std = [1, 1, 0]", &["std", "above 0"]);
    refused("mean = 0.5", &["mean", "a list of 3"]);
    refused("mean_image = 1", &["mean_image", "true or false"]);
    refused("augment = 4", &["augment", "[data.augment]"]);
    refused("[data.augment]\npadd = 4", &["padd", "pad"]);
    refused("[data.augment]\npad = 33", &["pad", "0 to 32"]);
    refused("[data.augment]\npad = 32\npadding = \"reflect\"", &["pad", "at most 31"]);
    refused("[data.augment]\npadding = \"mirror\"", &["padding", "reflect"]);
    refused("[data.augment]\ncutout = -1", &["cutout", "0 to 64"]);
}
