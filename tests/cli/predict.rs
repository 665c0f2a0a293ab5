//! `halfwave predict`: pictures of every kind and size.

use super::program::{command, fails, finish, run};
use super::{picture, run_dir, trained};
use image::{GrayImage, Luma};
use std::fs;

#[test]
fn predict_names_the_likely_classes() {
    let base = tempfile::tempdir().unwrap();
    let pictures: Vec<_> = (0..20).map(|at| picture(base.path(), at)).collect();
    let mut args = vec!["predict", "run", "--adapter", "cpu"];
    args.extend(pictures.iter().map(|(path, _)| path.as_str()));
    let out = run(trained(), &args);
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), pictures.len(), "{out}");
    let mut right = 0;
    for (line, (path, label)) in lines.iter().zip(&pictures) {
        assert!(line[0] == path && line.len() == 7, "{line:?}");
        let shares = [line[2], line[4], line[6]].map(|share| share.trim_end_matches('%').parse::<f32>().unwrap());
        assert!(shares.is_sorted_by(|a, b| a >= b) && shares.iter().sum::<f32>() <= 100.2, "{line:?}");
        right += usize::from(line[1] == label.to_string());
    }
    assert!(right > 10, "{right} of 20 are right\n{out}");
}

#[test]
fn bad_pictures_are_left_out() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let (good, _) = picture(dir, 0);
    fs::write(dir.join("words.png"), "no picture").unwrap();
    fs::write(dir.join("half.png"), &fs::read(&good).unwrap()[..60]).unwrap();
    fs::create_dir(dir.join("folder.png")).unwrap();
    for (name, part) in [
        ("words.png", "not a picture"),
        ("half.png", "not a picture"),
        ("folder.png", "this is a folder"),
        ("missing.png", "no such file"),
    ] {
        fails(dir, &["predict", &run_dir(), name, "--adapter", "cpu"], &[name, part]);
        let done = finish(command(dir, &["predict", &run_dir(), name, &good, "--adapter", "cpu"]));
        assert!(done.code == Some(1) && done.err.starts_with(&format!("error: {name}")), "{}", done.err);
        assert!(done.err.contains(part) && done.out.starts_with(&good), "{} {}", done.err, done.out);
    }
    let done = finish(command(dir, &["predict", &run_dir(), "words.png", "half.png"]));
    assert_eq!((done.code, done.out.as_str(), done.err.lines().count()), (Some(1), "", 2), "{}", done.err);
}

#[test]
fn pictures_of_any_size_are_classified() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let (good, _) = picture(dir, 0);
    let small = image::open(&good).unwrap().into_luma8();
    let predict = |name: &str| {
        let done = finish(command(dir, &["predict", &run_dir(), name, "--adapter", "cpu"]));
        assert_eq!(done.code, Some(0), "{}", done.err);
        (done.out.split_whitespace().nth(1).unwrap().to_string(), done.err)
    };
    let (class, err) = predict(&good);
    assert!(err.is_empty(), "{err}");
    // Margins at the sides are cut off.
    let at = |x: u32, y: u32| if (40..120).contains(&x) { *small.get_pixel((x - 40) / 10, y / 10) } else { Luma([0]) };
    GrayImage::from_fn(160, 80, at).save(dir.join("wide.png")).unwrap();
    let (wide, err) = predict("wide.png");
    assert_eq!(wide, class);
    assert_eq!(err, "note: the image of 160 × 80 pixels was cropped to its centre and scaled to 8 × 8\n");
    // Black on white.
    GrayImage::from_fn(8, 8, |x, y| Luma([255 - small.get_pixel(x, y)[0]])).save(dir.join("inverse.png")).unwrap();
    let (_, err) = predict("inverse.png");
    assert!(
        err.contains("warning: inverse.png: its background is bright, but that of the training images is dark"),
        "{err}"
    );
}
