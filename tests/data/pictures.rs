//! Settings of `[data]` for a folder: which pictures are used for testing, how they become images,
//! and how other files are handled.
use super::{greys, picture};
use halfwave::data::{Dataset, Pixels, image_to_input};
use halfwave::recipe::{Data, Digits, Fit, Folder, Pictures, Recipe, Undecodable};
use image::{GrayImage, ImageFormat, Luma, RgbImage};
use std::fs;
use std::path::Path;

fn folder(dir: &Path, image: [usize; 3], classes: usize, pictures: Pictures) -> Data {
    Folder { dir: dir.into(), image, classes, pictures }.into()
}

#[test]
fn a_share_of_each_class_is_for_testing() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for at in 0..10 {
        picture(&dir.join(format!("a/{at}.png")), at);
        picture(&dir.join(format!("b/{at}.png")), 100 + at);
    }
    for (test_share, tests) in [(0.2, &[4, 9][..]), (0.3, &[3, 6, 9]), (0.1, &[9]), (0.5, &[1, 3, 5, 7, 9])] {
        let data = folder(dir, [1, 2, 2], 2, Pictures { test_share, ..Pictures::default() });
        let data = Dataset::load(&data).unwrap();
        let wanted: Vec<u8> = [0, 100].into_iter().flat_map(|class| tests.iter().map(move |at| class + at)).collect();
        assert_eq!(greys(&data.test), wanted, "{test_share}");
        assert_eq!(data.train.len() + data.test.len(), 20);
        assert!(greys(&data.train).iter().all(|grey| !wanted.contains(grey)));
    }
    let none = folder(dir, [1, 2, 2], 2, Pictures { test_share: 0.05, ..Pictures::default() });
    let message = Dataset::load(&none).unwrap_err().to_string();
    assert!(
        message.contains("a share of 0.05") && message.contains("put 20 or more pictures into a class"),
        "{message}"
    );
}

#[test]
fn a_picture_of_other_proportions_is_stretched_or_cut() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::create_dir_all(dir.join("train/a")).unwrap();
    fs::create_dir_all(dir.join("test/a")).unwrap();
    let wide = GrayImage::from_fn(8, 4, |x, _| Luma([10 * x as u8]));
    let high = GrayImage::from_fn(4, 8, |_, y| Luma([10 * y as u8]));
    wide.save(dir.join("train/a/wide.png")).unwrap();
    high.save(dir.join("train/a/high.png")).unwrap();
    wide.save(dir.join("test/a/wide.png")).unwrap();
    let load = |fit, resize| {
        let data = folder(dir, [1, 4, 4], 1, Pictures { fit, resize, ..Pictures::default() });
        (Dataset::load(&data).unwrap(), data.set)
    };
    let (cut, set) = load(Fit::Crop, None);
    assert_eq!((cut.shape(), cut.train.input), ([1, 4, 4], [1, 4, 4]));
    // By name: the tall one first. Its middle rows, then the middle columns of the wide one.
    assert_eq!(cut.train.read(&[0]).unwrap(), [20, 30, 40, 50].map(|grey| [grey; 4]).concat());
    assert_eq!(cut.train.read(&[1]).unwrap(), [[20, 30, 40, 50]; 4].concat());
    assert_eq!(image_to_input(dir.join("test/a/wide.png"), &set).unwrap().pixels, cut.test.read(&[0]).unwrap());
    let (whole, set) = load(Fit::Stretch, None);
    let row = whole.train.read(&[1]).unwrap()[..4].to_vec();
    assert!(row[0] < 15 && row[3] > 55 && row.is_sorted(), "{row:?}");
    assert_eq!(image_to_input(dir.join("test/a/wide.png"), &set).unwrap().pixels, whole.test.read(&[0]).unwrap());

    // Larger than the network's input: the centre of the same picture at twice the size.
    let (large, set) = load(Fit::Crop, Some(8));
    assert_eq!((large.shape(), large.train.input, large.train.image_len()), ([1, 8, 8], [1, 4, 4], 64));
    let all = large.train.read(&[1]).unwrap();
    let (seen, labels) = large.train.normalised(&[1, 0], &super::as_they_are(1)).unwrap();
    assert_eq!((seen.len(), labels), (32, vec![0, 0]));
    for (row, column) in (0..4).flat_map(|row| (0..4).map(move |column| (row, column))) {
        assert_eq!(seen[row * 4 + column], f32::from(all[(row + 2) * 8 + column + 2]));
    }
    assert_eq!(
        image_to_input(dir.join("test/a/wide.png"), &set).unwrap().pixels,
        large.test.centre_crops(&[0]).unwrap()
    );
}

#[test]
fn images_larger_than_the_input_are_for_recipes_that_resize() {
    let text = Recipe::digits().to_toml().replace("set = \"digits\"", "set = \"folder\"");
    let recipe = Recipe::parse(&text, "plain").unwrap();
    let larger = Recipe::parse(&text.replace("[data]\n", "[data]\nresize = 12\n"), "larger").unwrap();
    let load = |recipe: &Recipe| {
        let base = tempfile::tempdir().unwrap();
        for (class, at) in (0..10).flat_map(|class| (0..5).map(move |at| (class, at))) {
            picture(&base.path().join(format!("{class}/{at}.png")), at);
        }
        let mut data = recipe.data.clone();
        *data.set.location().unwrap().path = base.path().into();
        Dataset::load(&data).unwrap()
    };
    let (plain, large) = (load(&recipe), load(&larger));
    plain.check(&recipe).unwrap();
    large.check(&larger).unwrap();
    assert_eq!((large.shape(), large.train.input, large.test.input), ([1, 12, 12], [1, 8, 8], [1, 8, 8]));
    let message = large.check(&recipe).unwrap_err().to_string();
    assert!(message.contains("images of [1, 12, 12], but model.input = [1, 8, 8]"), "{message}");
    let message = plain.check(&larger).unwrap_err().to_string();
    assert!(message.contains("images of [1, 8, 8], but data.resize asks for [1, 12, 12]"), "{message}");
    // Data sets with such images in memory use the same recipe.
    let given = Dataset::images(large.class_names.clone(), [1, 12, 12], large.train.clone(), large.test.clone());
    assert_eq!(given.unwrap().divided(&larger.data).unwrap(), large);
}

#[test]
fn a_recipe_gets_the_part_that_it_asks_for() {
    let text = Recipe::digits().to_toml().replace("[data]", "[data]\nlimit = 300\ntest_limit = 50");
    let recipe = Recipe::parse(&text.replace("validation = 0.0", "validation = 0.2"), "part").unwrap();
    let data = Dataset::load(&recipe.data).unwrap();
    assert_eq!((data.train.len(), recipe.data.train_len()), (240, Some(240)));
    assert_eq!((data.validation.as_ref().unwrap().len(), data.test.len()), (60, 50));
    data.check(&recipe).unwrap();
    for recipe in [Recipe::digits(), Recipe::parse(&text, "no validation").unwrap()] {
        let message = data.check(&recipe).unwrap_err().to_string();
        assert!(message.contains("not the images that the recipe's [data] selects"), "{message}");
    }
    let whole = Dataset::load(&Digits.into()).unwrap();
    assert!(whole.check(&recipe).unwrap_err().to_string().contains("select them with Dataset::divided"));
    assert_eq!(whole.divided(&recipe.data).unwrap(), data);
}

/// A PNG that claims a size it does not have, with a valid checksum.
fn huge_png(width: u32, height: u32) -> Vec<u8> {
    let mut png = encoded(ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&png[12..29]);
    png[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    png
}

/// A JPEG that claims 65535 × 65535 pixels.
fn huge_jpeg() -> Vec<u8> {
    let mut jpeg = encoded(ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    jpeg
}

/// A picture of 40 × 30 pixels.
fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * y) as u8, (x * 6) as u8, (y * 8) as u8]))
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

/// `bytes` without the last ones.
fn cut(bytes: Vec<u8>, last: usize) -> Vec<u8> {
    bytes[..bytes.len() - last].to_vec()
}

/// Writes a file that is not a picture into a class, and returns its description in messages.
type Spoil = fn(&Path) -> &'static str;

fn write(dir: &Path, name: &'static str, bytes: impl AsRef<[u8]>) -> &'static str {
    fs::write(dir.join(name), bytes).unwrap();
    name
}

const SPOILS: &[Spoil] = &[
    |dir| write(dir, "empty.png", ""),
    |dir| write(dir, "words.png", "words and no picture"),
    |dir| write(dir, "head.png", &encoded(ImageFormat::Png)[..20]),
    |dir| write(dir, "magic.png", &encoded(ImageFormat::Png)[..8]),
    |dir| write(dir, "cut.png", cut(encoded(ImageFormat::Png), 60)),
    |dir| write(dir, "cut.jpg", cut(encoded(ImageFormat::Jpeg), 300)),
    |dir| write(dir, "head.jpg", &encoded(ImageFormat::Jpeg)[..30]),
    |dir| write(dir, "end.jpg", cut(encoded(ImageFormat::Jpeg), 2)),
    |dir| write(dir, "cut.gif", cut(encoded(ImageFormat::Gif), 200)),
    |dir| write(dir, "cut.bmp", cut(encoded(ImageFormat::Bmp), 200)),
    |dir| write(dir, "cut.tiff", cut(encoded(ImageFormat::Tiff), 200)),
    |dir| write(dir, "cut.webp", cut(encoded(ImageFormat::WebP), 20)),
    |dir| write(dir, "huge.png", huge_png(1 << 31, 1 << 31)),
    |dir| write(dir, "huge.png", huge_png((1 << 31) - 1, (1 << 31) - 1)),
    |dir| write(dir, "large.png", huge_png(20_000, 20_000)),
    |dir| write(dir, "none.png", huge_png(0, 30)),
    |dir| write(dir, "huge.jpg", huge_jpeg()),
    |dir| write(dir, "huge.ppm", "P6 4294967295 4294967295 255\n"),
    |dir| write(dir, "wide.ppm", "P6 99999999999999999999 1 255\n"),
    #[cfg(unix)]
    |dir| {
        std::os::unix::fs::symlink("loop.png", dir.join("loop.png")).unwrap();
        "loop.png"
    },
    #[cfg(unix)]
    |dir| {
        std::os::unix::fs::symlink("..", dir.join("up")).unwrap();
        "up"
    },
    #[cfg(unix)]
    |dir| {
        std::os::unix::fs::symlink("nowhere", dir.join("nowhere.png")).unwrap();
        "nowhere.png"
    },
    #[cfg(unix)]
    |dir| {
        // Opening it would block forever.
        assert!(std::process::Command::new("mkfifo").arg(dir.join("pipe.png")).status().unwrap().success());
        "pipe.png"
    },
    // Other systems do not allow such names.
    #[cfg(target_os = "linux")]
    |dir| {
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9.png");
        fs::write(dir.join(name), encoded(ImageFormat::Png)).unwrap();
        "caf\u{fffd}.png"
    },
];

#[test]
fn what_is_no_picture_is_left_out_or_refused() {
    for spoil in SPOILS {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path();
        (0..4).for_each(|at| picture(&dir.join(format!("train/a/good{at}.png")), 10 + at));
        picture(&dir.join("test/a/good.png"), 20);
        let name = format!("train/a/{}", spoil(&dir.join("train/a")));
        let load = |undecodable, stream_above| {
            let pictures = Pictures { undecodable, stream_above, ..Pictures::default() };
            Dataset::load(&folder(dir, [1, 2, 2], 1, pictures))
        };
        let kept = load(Undecodable::Skip, 1024).unwrap();
        assert_eq!((greys(&kept.train), greys(&kept.test)), (vec![10, 11, 12, 13], vec![20]), "{name}");
        let message = load(Undecodable::Refuse, 1024).unwrap_err().to_string();
        let wanted = format!("1 file cannot be used: {name} (");
        assert!(message.contains(&wanted), "{message}\nshould say {wanted}");
        // Where pictures stay files, damage is found when a batch needs one: the next picture of
        // its class replaces it.
        let files = load(Undecodable::Skip, 0).unwrap();
        let Pixels::Files(listing) = &files.train.pixels else { panic!("they stay files") };
        let all: Vec<u32> = (0..files.train.len() as u32).collect();
        let mut wanted = vec![10, 11, 12, 13];
        if let Some(at) = (0..listing.len()).find(|&at| listing.name(at) == name) {
            wanted.insert(at, [10, 11, 12, 13][at % 4]);
        }
        let wanted: Vec<u8> = wanted.into_iter().flat_map(|grey| [grey; 4]).collect();
        assert_eq!(files.train.read(&all).unwrap(), wanted, "{name}");
        // Evaluations do not replace it.
        let (pixels, labels) = files.train.intact_centre_crops(&all).unwrap();
        assert_eq!((Some(&pixels[..]), labels), (kept.train.in_memory(), vec![0; 4]), "{name}");
        // If damaged files are refused, the error occurs before a run starts, or when the damage is
        // found.
        let refused = load(Undecodable::Refuse, 0).and_then(|files| files.train.read(&all));
        let message = refused.unwrap_err().to_string();
        let later = ["replace it with an intact picture", &dir.join(&name).display().to_string()];
        assert!(
            message.contains(&format!("cannot be used: {name} (")) || later.iter().all(|part| message.contains(part)),
            "{message}"
        );
    }
}

#[test]
fn refused_files_are_counted_and_some_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    (0..5).for_each(|at| picture(&dir.join(format!("a/{at}.png")), 10 + at));
    (0..7).for_each(|at| fs::write(dir.join(format!("a/x{at}.png")), "words").unwrap());
    fs::write(dir.join("LICENCE"), "words").unwrap();
    let data = folder(dir, [1, 2, 2], 1, Pictures { undecodable: Undecodable::Refuse, ..Pictures::default() });
    let message = Dataset::load(&data).unwrap_err().to_string();
    let wanted = "8 files cannot be used: LICENCE (a text file), a/x0.png (a text file), a/x1.png (a text file), a/x2.png (a text file), \
                  a/x3.png (a text file), …;";
    assert!(message.contains(wanted) && message.contains("undecodable = \"skip\""), "{message}");
}

#[cfg(unix)]
#[test]
fn a_class_that_is_the_folder_itself_has_no_pictures() {
    let base = tempfile::tempdir().unwrap();
    (0..5).for_each(|at| picture(&base.path().join(format!("a/{at}.png")), 10 + at));
    std::os::unix::fs::symlink(".", base.path().join("loop")).unwrap();
    let load = |classes| Dataset::load(&folder(base.path(), [1, 2, 2], classes, Pictures::default()));
    let message = load(2).unwrap_err().to_string();
    assert!(message.contains("1 class (a), but model.classes = 2"), "{message}");
    assert_eq!(greys(&load(1).unwrap().train), [10, 11, 12, 13]);
}

/// Root can read every file; there is nothing to test then.
#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_left_out() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    (0..6).for_each(|at| picture(&dir.join(format!("a/{at}.png")), 10 + at));
    let path = dir.join("a/1.png");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        eprintln!("SKIPPED: this user may read every file");
        return;
    }
    let data = Dataset::load(&folder(dir, [1, 2, 2], 1, Pictures::default())).unwrap();
    assert_eq!((greys(&data.train), greys(&data.test)), (vec![10, 12, 13, 14], vec![15]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_class_is_called_by_text() {
    let base = tempfile::tempdir().unwrap();
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
    picture(&base.path().join(name).join("a.png"), 1);
    let message = Dataset::load(&folder(base.path(), [1, 2, 2], 1, Pictures::default())).unwrap_err().to_string();
    assert!(message.contains("folder caf\u{fffd} is not UTF-8; give it another name"), "{message}");
}
