//! IDX files in a folder: valid ones are read under all names, and every error names the file and
//! what to do.
use crate::program::{fails, run};
use crate::recipes::{all_wrong, set_of};
use flate2::{Compression, write::GzEncoder};
use halfwave::data::{Classes, Dataset, Split, class_names};
use halfwave::recipe::{Digits, Idx, Recipe, Set, builtin};
use image::{GrayImage, Luma};
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

/// An IDX file of bytes.
fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let dims_bytes: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
    [&[0, 0, 8, dims.len() as u8], &dims_bytes[..], values].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Four images of 2 × 3 pixels to train on, two to test on, of three classes.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        (IMAGES, idx(&[4, 2, 3], &(0..24).collect::<Vec<u8>>())),
        (LABELS, idx(&[4], &[0, 1, 2, 0])),
        ("t10k-images-idx3-ubyte", idx(&[2, 2, 3], &(100..112).collect::<Vec<u8>>())),
        ("t10k-labels-idx1-ubyte", idx(&[2], &[2, 1])),
    ] {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn set(dir: &Path) -> Set {
    Idx { dir: dir.into(), image: [1, 2, 3], classes: 3 }.into()
}

fn load(dir: &Path) -> Result<Dataset, String> {
    Dataset::load(&set(dir).into()).map_err(|error| error.to_string())
}

#[test]
fn four_files_are_a_data_set() {
    let dir = folder();
    let data = load(dir.path()).unwrap();
    assert_eq!((data.name.as_str(), data.classes), ("idx", 3));
    assert_eq!(class_names(&set(dir.path())).unwrap(), ["0", "1", "2"]);
    assert_eq!([data.channels, data.height, data.width], [1, 2, 3]);
    assert_eq!((data.train.len(), data.train.image_len(), &data.train.labels[..]), (4, 6, &[0, 1, 2, 0][..]));
    let pixels = |split: &Split| split.in_memory().unwrap().to_vec();
    assert_eq!(pixels(&data.train), (0..24).collect::<Vec<u8>>());
    assert_eq!((pixels(&data.test), &data.test.labels[..]), ((100..112).collect::<Vec<u8>>(), &[2, 1][..]));
}

#[test]
fn files_are_found_in_every_spelling() {
    let plain = load(folder().path()).unwrap();
    for (stem, rank) in [("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1)] {
        for spelt in [format!("{stem}.idx{rank}-ubyte"), format!("{stem}-idx{rank}-ubyte.gz")] {
            let dir = folder();
            let path = dir.path().join(format!("{stem}-idx{rank}-ubyte"));
            let bytes = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            // Some archives have a folder of that name beside the file.
            fs::create_dir(&path).unwrap();
            fs::write(dir.path().join(&spelt), gzip(&bytes)).unwrap();
            assert_eq!(load(dir.path()).unwrap(), plain, "{spelt}");
            // Some programs unpack a file and keep its name.
            fs::write(dir.path().join(&spelt), &bytes).unwrap();
            assert_eq!(load(dir.path()).unwrap(), plain, "{spelt}");
        }
    }
    // If there are both, the one that is not gzipped is read.
    let dir = folder();
    fs::write(dir.path().join(IMAGES.to_owned() + ".gz"), "words").unwrap();
    assert_eq!(load(dir.path()).unwrap(), plain);
}

#[test]
fn images_may_have_channels() {
    let dir = folder();
    fs::remove_file(dir.path().join("t10k-images-idx3-ubyte")).unwrap();
    fs::write(dir.path().join("t10k-images-idx4-ubyte"), idx(&[2, 1, 2, 3], &[5; 12])).unwrap();
    fs::write(dir.path().join(IMAGES), idx(&[4, 1, 2, 3], &[7; 24])).unwrap();
    let set = Idx { dir: dir.path().into(), image: [3, 1, 2], classes: 3 };
    let data = Dataset::load(&set.into()).unwrap();
    assert_eq!([data.channels, data.height, data.width], [3, 1, 2]);
    assert_eq!((data.train.image_len(), data.test.image_len()), (6, 6));
}

#[test]
fn every_fault_names_its_file_and_says_what_to_do() {
    let (images, labels) = (idx(&[4, 2, 3], &[0; 24]), idx(&[4], &[0, 1, 2, 0]));
    let mut wrong_sum = gzip(&images);
    let sum_at = wrong_sum.len() - 8;
    wrong_sum[sum_at] ^= 1;
    let float = [&[0, 0, 13, 3], &images[4..]].concat();
    let again = "fetch or unpack it again";
    let input = "but model.input = [1, 2, 3]; write input = ";
    let many = [u32::MAX, 2, 3];
    for (name, bytes, parts) in [
        (IMAGES, vec![], ["it is empty", again]),
        (IMAGES, b"PNG and so on".to_vec(), ["not an IDX file but a text", again]),
        (IMAGES, float, ["IDX type 0x0d", "only bytes"]),
        (IMAGES, images[..2].to_vec(), ["ends too early", again]),
        (IMAGES, images[..10].to_vec(), ["ends too early", again]),
        (IMAGES, images[..images.len() - 1].to_vec(), ["23 bytes of elements, but", "ask for 24; fetch"]),
        (IMAGES, [&images[..], &[0]].concat(), ["more than 24 bytes of elements", again]),
        (IMAGES, labels.clone(), ["1 dimensions instead of 3", "is it the right file?"]),
        (IMAGES, idx(&[4, 3, 2], &[0; 24]), ["images of [1, 3, 2] (channels, height, width)", input]),
        (IMAGES, idx(&[4, 2, 3, 3], &[0; 72]), ["images of [3, 2, 3]", input]),
        (IMAGES, idx(&[u32::MAX; 4], &[0; 24]), ["4294967295, 4294967295", input]),
        (IMAGES, gzip(&images)[..9].to_vec(), ["ends too early", again]),
        (IMAGES, gzip(&images)[..sum_at].to_vec(), ["ends too early", again]),
        (IMAGES, wrong_sum, ["damaged gzip file", again]),
        (IMAGES, [0x1f, 0x8b].repeat(20), ["damaged gzip file", again]),
        (IMAGES, gzip(&[&images[..], &[0; 1 << 20]].concat()), ["more than 24 bytes", again]),
        (LABELS, vec![], ["it is empty", again]),
        (LABELS, images.clone(), ["3 dimensions instead of 1", "is it the right file?"]),
        (LABELS, idx(&[3], &[0; 3]), ["3 labels for 4 images", "take both files from the same set"]),
        (LABELS, idx(&many[..1], &[0; 4]), ["4294967295 labels for 4 images", "take both"]),
        (LABELS, labels[..7].to_vec(), ["ends too early", again]),
        (LABELS, labels[..9].to_vec(), ["1 bytes of elements", again]),
        (
            LABELS,
            idx(&[4], &[0, 1, 3, 0]),
            ["label 3 of image 2 is not below 3", "labels are 0 to 3, which would be classes = 4"],
        ),
        ("t10k-labels-idx1-ubyte", idx(&[2], &[255, 0]), ["label 255 of image 0", "labels are 0 to 255"]),
    ] {
        let dir = folder();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let message = load(dir.path()).unwrap_err();
        for part in [&format!("idx, {}: ", path.display()), parts[0], parts[1]] {
            assert!(message.contains(part), "{message}\nshould say {part}");
        }
        assert!(!message.contains('\n'), "{message}");
    }
    // Two files that claim the same excessive number are read at most to the end of one of them.
    for (count, part) in [(u32::MAX, "ask for more than 1 GiB"), (1 << 29, "4 bytes of elements"), (0, "no images")] {
        let dir = folder();
        fs::write(dir.path().join(IMAGES), idx(&[count, 2, 3], &[0; 24])).unwrap();
        fs::write(dir.path().join(LABELS), idx(&[count], &[0; 4])).unwrap();
        let message = load(dir.path()).unwrap_err();
        assert!(message.contains(part), "{message}\nshould say {part}");
    }
}

#[test]
fn files_that_are_missing_are_named_together() {
    let dir = folder();
    fs::remove_file(dir.path().join(IMAGES)).unwrap();
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let message = load(dir.path()).unwrap_err();
    let wanted = format!(
        ": missing: {IMAGES}, t10k-labels-idx1-ubyte; there is {LABELS}, t10k-images-idx3-ubyte; all four files are needed"
    );
    assert!(message.contains(&wanted) && message.contains(dir.path().to_str().unwrap()), "{message}");
    let message = load(&dir.path().join(LABELS)).unwrap_err();
    assert!(message.contains("no such folder"), "{message}");
}

#[test]
fn a_recipe_asks_for_enough_images() {
    let dir = folder();
    let text = Recipe::digits().to_toml().replace("set = \"digits\"", "set = \"idx\"");
    let mut recipe = Recipe::parse(&text, "idx").unwrap();
    let dims = |count: u32| [count, 8, 8];
    for (name, count) in [(IMAGES, 4), ("t10k-images-idx3-ubyte", 2)] {
        fs::write(dir.path().join(name), idx(&dims(count), &vec![1; 64 * count as usize])).unwrap();
    }
    *recipe.data.set.location().unwrap().path = dir.path().into();
    let data = Dataset::load(&recipe.data).unwrap();
    data.check(&recipe).unwrap();
    recipe.train.drop_last = true;
    assert!(data.check(&recipe).unwrap_err().to_string().contains("no batch is left of the 4"));
}

/// The files of [`folder`] under other names, and with labels that are `more`.
fn renamed(name: impl Fn(&str) -> String, more: u8) -> TempDir {
    let (from, to) = (folder(), tempfile::tempdir().unwrap());
    for entry in fs::read_dir(from.path()).unwrap().map(|entry| entry.unwrap()) {
        let old = entry.file_name().into_string().unwrap();
        let mut bytes = fs::read(entry.path()).unwrap();
        if old.contains("labels") {
            bytes[8..].iter_mut().for_each(|label| *label += more);
        }
        let path = to.path().join(name(&old));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    to
}

#[test]
fn files_of_other_sets_are_found_by_their_names() {
    let plain = load(folder().path()).unwrap();
    let test = |name: &str| name.replace("t10k", "test");
    let names: &[&dyn Fn(&str) -> String] = &[
        &|name| format!("emnist-letters-{}", test(name)),
        &|name| format!("Kuzushiji.{}", name.to_uppercase()),
        &|name| test(name).replace("-idx3-ubyte", ".idx").replace("-idx1-ubyte", ".idx").replace('-', "_"),
        &|name| format!("MNIST/raw/{name}"),
        &|name| format!("gzip/emnist-digits-{}", test(name)),
    ];
    for name in names {
        let dir = renamed(name, 0);
        // Other contents of such archives.
        fs::write(dir.path().join("emnist-letters-mapping.txt"), "0 48").unwrap();
        fs::write(dir.path().join("._train-images-idx3-ubyte"), "macOS").unwrap();
        assert_eq!(load(dir.path()).unwrap(), plain, "{}", name(IMAGES));
    }
}

#[test]
fn labels_may_count_from_one() {
    let plain = load(folder().path()).unwrap();
    let dir = renamed(str::to_string, 1);
    let (data, described) = Dataset::load_described(&set(dir.path()).into(), Classes::Counted).unwrap();
    assert_eq!((&data.train, &data.test), (&plain.train, &plain.test));
    assert_eq!(data.class_names, ["1", "2", "3"]);
    assert!(described.unwrap().contains("labels count from 1 to 3, the first class is 1"));
    // The whole range must occur: labels that happen not to include 0 are not shifted.
    let four = Idx { dir: dir.path().into(), image: [1, 2, 3], classes: 4 };
    let data = Dataset::load(&four.into()).unwrap();
    assert_eq!((&data.train.labels[..], &data.test.labels[..]), (&[1, 2, 3, 1][..], &[3, 2][..]));
    let two = Idx { dir: dir.path().into(), image: [1, 2, 3], classes: 2 };
    let message = Dataset::load(&two.into()).unwrap_err().to_string();
    assert!(message.contains("the labels are 1 to 3, which would be classes = 3"), "{message}");
}

#[test]
fn what_a_folder_holds_instead_is_said() {
    let several = renamed(|name| format!("emnist-letters-{}", name.replace("t10k", "test")), 0);
    for entry in fs::read_dir(folder().path()).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(entry.path(), several.path().join(entry.file_name())).unwrap();
    }
    let message = load(several.path()).unwrap_err();
    assert!(message.contains("there are 2 data sets in it (train-…, t10k-…; emnist-letters)"), "{message}");
    let part = renamed(|name| format!("emnist-letters-{name}"), 0);
    fs::remove_file(part.path().join(format!("emnist-letters-{IMAGES}"))).unwrap();
    let message = load(part.path()).unwrap_err();
    assert!(message.contains("missing: emnist-letters-train-images-idx3-ubyte; there is emnist-letters-"), "{message}");
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("k49-train-imgs.npz"), b"PK\x03\x04 arrays").unwrap();
    fs::write(other.path().join("train.parquet"), b"PAR1 columns").unwrap();
    let message = load(other.path()).unwrap_err();
    let wanted = "There is k49-train-imgs.npz (a zip archive), train.parquet (a Parquet table)";
    assert!(message.contains(": missing: train-images-idx3-ubyte, ") && message.contains(wanted), "{message}");
    let message = load(&other.path().join("k49-train-imgs.npz")).unwrap_err();
    assert!(message.contains("this is a zip archive, not a folder; unpack it"), "{message}");
}

#[test]
fn idx_has_what_the_model_asks_for() {
    let wanted = |dir: &str, image, classes| Set::from(Idx { dir: dir.into(), image, classes });
    assert_eq!(set_of("set = \"idx\"", [1, 28, 28], 10), wanted("mnist", [1, 28, 28], 10));
    assert_eq!(set_of("set = \"idx\"\ndir = \"a/b\"", [2, 8, 9], 256), wanted("a/b", [2, 8, 9], 256));
}

#[test]
fn wrong_keys_are_refused() {
    all_wrong(&[
        (
            "set = \"idx\"\nlabels = \"fine\"",
            [1, 8, 8],
            10,
            33,
            &["[data] (idx)", "\"labels\", which only cifar100 has"],
        ),
        ("set = \"idx\"\ndir = \"\"", [1, 8, 8], 10, 33, &["name the folder"]),
        ("set = \"idx\"", [1, 8, 8], 257, 3, &["classes = 257", "single bytes", "at most 256 classes"]),
        (
            "set = \"idx\"\nfile = \"a\"",
            [1, 8, 8],
            10,
            33,
            &["\"file\", which only npz", "expected one of set, dir, scale"],
        ),
        ("set = \"idx\"\nstream_above = 1", [1, 8, 8], 10, 33, &["\"stream_above\", which only folder has"]),
    ]);
}

/// Writes digits as IDX files.
fn write_idx(dir: &Path, part: &str, split: &Split) {
    let head = |dims: &[u32]| -> Vec<u8> {
        [0, 0, 8, dims.len() as u8].into_iter().chain(dims.iter().flat_map(|dim| dim.to_be_bytes())).collect()
    };
    let (count, labels): (_, Vec<u8>) = (split.len() as u32, split.labels.iter().map(|&label| label as u8).collect());
    fs::write(
        dir.join(format!("{part}-images-idx3-ubyte")),
        [&head(&[count, 8, 8])[..], split.in_memory().unwrap()].concat(),
    )
    .unwrap();
    fs::write(dir.join(format!("{part}-labels.idx1-ubyte")), [head(&[count]), labels].concat()).unwrap();
}

#[test]
fn idx_files_are_trained_on() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let text = builtin("digits").unwrap().replace("set = \"digits\"", "set = \"idx\"\ndir = \"mine\"");
    fs::write(dir.join("my.toml"), text.replace("batch = 64", "batch = 8")).unwrap();
    let train = ["train", "my.toml", "--steps", "3", "--out", "run", "--adapter", "cpu"];
    fails(dir, &train, &["idx: there is no folder mine", "four IDX files", "--data-dir DIR"]);
    fs::create_dir(dir.join("mine")).unwrap();
    fails(dir, &train, &["idx, mine: missing: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images"]);

    let digits = Dataset::load(&Digits.into()).unwrap();
    write_idx(&dir.join("mine"), "train", &digits.train);
    write_idx(&dir.join("mine"), "t10k", &digits.test);
    run(dir, &train);
    assert!(run(dir, &["eval", "run", "--adapter", "cpu"]).contains("of 360)"));
    GrayImage::from_pixel(8, 8, Luma([9])).save(dir.join("a.png")).unwrap();
    assert!(run(dir, &["predict", "run", "a.png", "--adapter", "cpu"]).contains('%'));

    let images = dir.join("mine/t10k-images-idx3-ubyte");
    let whole = fs::read(&images).unwrap();
    fs::write(&images, &whole[..whole.len() - 1]).unwrap();
    fails(dir, &["eval", "run", "--adapter", "cpu"], &["t10k-images-idx3-ubyte: 23039 bytes", "ask for 23040"]);
}
