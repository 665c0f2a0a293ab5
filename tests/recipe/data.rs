//! `[data]`: the keys of all sets. Those of one set are tested with it, in `tests/data`.
use crate::recipes::{all_wrong, read_data, with_data, wrong};
use halfwave::data::Validation;
use halfwave::model::{Flatten, Linear};
use halfwave::network::Network;
use halfwave::recipe::{Augment, Data, Digits, Padding, Recipe, Set};

#[test]
fn a_part_of_a_set_may_be_asked_for() {
    let (whole, resolved) = read_data("set = \"digits\"", [1, 8, 8], 10);
    let tenth = Data { validation: Validation::Auto, ..Digits.into() };
    assert_eq!((whole.clone(), whole.keeps_all(), whole.train_len()), (tenth, false, Some(1437 - 144)));
    assert!(resolved.contains("validation = \"auto\"\n") && !resolved.contains("limit"), "{resolved}");
    let (part, _) = read_data("set = \"digits\"\nvalidation = 0.1\nlimit = 1000\ntest_limit = 100", [1, 8, 8], 10);
    assert_eq!((part.validation, part.limit, part.test_limit), (Validation::Share(0.1), Some(1000), Some(100)));
    assert_eq!((part.train_len(), part.keeps_all()), (Some(900), false));
    for (data, train_len) in [
        ("set = \"digits\"\nvalidation = 0.25", Some(1437 - 359)),
        ("set = \"digits\"\nlimit = 5000", Some(1437 - 144)),
        ("set = \"digits\"\nvalidation = 0\ntest_limit = 1", Some(1437)),
        ("set = \"idx\"\nlimit = 100\nvalidation = 0.5", None),
    ] {
        let (part, _) = read_data(data, [1, 8, 8], 10);
        assert_eq!((part.train_len(), part.keeps_all()), (train_len, false), "{data}");
    }
}

#[test]
fn a_batch_is_one_of_the_images_that_are_left() {
    let whole = with_data("set = \"digits\"\nvalidation = 0.5", [1, 8, 8], 10)
        .replace("batch = 64", "batch = 800\ndrop_last = true");
    let (line, message) = wrong(&whole);
    assert!(message.contains("no batch is left of the 718 training images"), "{message}");
    assert_eq!(line, 36);
    Recipe::parse(&whole.replace("validation = 0.5\n", ""), "whole").unwrap();
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
fn what_no_set_holds_is_refused() {
    all_wrong(&[
        (
            "set = \"digits\"\ndir = \"a\"",
            [1, 8, 8],
            10,
            33,
            &["[data] (digits)", "\"dir\", which only cifar10", "expected one of set, scale"],
        ),
        ("set = \"digits\"\nvalidation = 1", [1, 8, 8], 10, 33, &["validation = 1", "from 0 to below 1"]),
        (
            "set = \"digits\"\nvalidation = \"yes\"",
            [1, 8, 8],
            10,
            33,
            &["validation = \"yes\"", "a share from 0 to below 1, such as 0.1, or \"auto\""],
        ),
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
        ("set = \"digits\"\ntest_limit = 0.5", [1, 8, 8], 10, 33, &["test_limit = 0.5", "whole number"]),
        ("set = \"digits\"\nlimits = 9", [1, 8, 8], 10, 33, &["unknown key \"limits\"", "did you mean \"limit\"?"]),
        (
            "set = \"digits\"\nfit = \"crop\"",
            [1, 8, 8],
            10,
            33,
            &["\"fit\", which only folder has", "expected one of set, scale"],
        ),
        ("set = \"folder\"\nlimit = 9", [1, 8, 8], 10, 33, &["9 images are left", "10 classes"]),
    ]);
}

#[test]
fn a_missing_set_is_named_with_all_sets() {
    let sets = Set::all([3, 32, 32], 100);
    let names: Vec<_> = sets.iter().map(|set| set.name()).collect();
    let wanted = format!("set is missing; add set = one of {}", names.join(", "));
    all_wrong(&[("labels = \"fine\"", [3, 32, 32], 100, 31, &[&wanted])]);
}

#[test]
fn pixels_are_normalised_and_changed_as_asked() {
    let (plain, resolved) = read_data("set = \"digits\"", [1, 8, 8], 10);
    assert_eq!((plain.mean, plain.std, plain.mean_image, plain.augment), (vec![], vec![], false, Augment::default()));
    let spelt = "\n[data.augment]\npad = 0\npadding = \"zero\"\nmirror = false\ncutout = 0\n";
    assert!(resolved.contains(spelt) && !resolved.contains("std"), "{resolved}");

    let all = "set = \"cifar10\"\nmean = [0.5, 0.25, 0]\nstd = [1, 2.5, 0.125]\nmean_image = true\n\
               [data.augment]\npad = 4\npadding = \"reflect\"\nmirror = true\ncutout = 16";
    let (data, _) = read_data(all, [3, 32, 32], 10);
    assert_eq!((data.mean, data.std, data.mean_image), (vec![0.5, 0.25, 0.0], vec![1.0, 2.5, 0.125], true));
    assert_eq!(data.augment, Augment { pad: 4, padding: Padding::Reflect, mirror: true, cutout: 16 });
}

#[test]
fn wrong_ways_to_normalise_and_change_are_refused() {
    let refused = |data: &str, parts: &[&str]| {
        let error =
            Recipe::parse(&with_data(&format!("set = \"cifar10\"\n{data}"), [3, 32, 32], 10), "a.toml").unwrap_err();
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
