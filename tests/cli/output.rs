//! JSON, quiet, verbose and coloured output, sizes of networks, completions and manual pages.

use super::program::{command, fails, finish, run};
use super::{picture, run_dir, trained};
use serde_json::Value;
use std::fs;

fn json(args: &[&str]) -> Value {
    let base = tempfile::tempdir().unwrap();
    let done = finish(command(base.path(), args));
    assert_eq!(done.code, Some(0), "{args:?}: {}", done.err);
    serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{args:?}: {error} in {}", done.out))
}

#[test]
fn every_result_can_be_printed_as_json() {
    let dir = run_dir();
    let eval = json(&["eval", &dir, "--adapter", "cpu", "--json"]);
    let counted: u64 = eval["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!((eval["images"].as_u64(), eval["classes"].as_array().unwrap().len()), (Some(counted), 10));
    let text = run(trained(), &["eval", "run", "--adapter", "cpu"]);
    let accuracy = format!("{:.1}%", 100.0 * eval["accuracy"].as_f64().unwrap());
    assert!(text.contains(&accuracy) && text.contains("after 23 steps"), "{accuracy}: {text}");

    let base = tempfile::tempdir().unwrap();
    let (image, _) = picture(base.path(), 3);
    let predicted = json(&["predict", &dir, &image, "--adapter", "cpu", "--json"]);
    let classes = predicted[0]["classes"].as_array().unwrap();
    let sum: f64 = classes.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5 && classes[0]["class"] == predicted[0]["class"], "{predicted}");

    let plan = json(&["plan", "digits", "--json"]);
    let moved: u64 =
        plan["plans"][0]["launches"].as_array().unwrap().iter().map(|launch| launch["bytes"].as_u64().unwrap()).sum();
    assert_eq!((plan["plans"][0]["moved_bytes"].as_u64(), plan["batch"].as_u64()), (Some(moved), Some(64)));
    assert_eq!(plan["peak_bytes"], plan["plans"][0]["memory"]["peak"]);

    let devices = json(&["devices", "--json"]);
    assert!(devices["adapters"].is_array(), "{devices}");

    let layers = json(&["layers", "hwgq", "--json"]);
    assert!(
        layers["keys"].as_array().unwrap().iter().any(|key| key["name"] == "bits" && key["default"] == "2"),
        "{layers}"
    );
    assert!(json(&["layers", "--json"]).as_array().unwrap().len() > 20);

    let recipe = json(&["recipe", "digits", "--set", "train.batch=32", "--json"]);
    assert_eq!((&recipe["train"]["batch"], &recipe["data"]["set"]), (&32.into(), &"digits".into()));
    let recipes = json(&["recipe", "--json"]);
    let digits = recipes.as_array().unwrap().iter().find(|recipe| recipe["name"] == "digits").unwrap();
    assert!(digits["about"].as_str().unwrap().starts_with("Handwritten digits"), "{digits}");

    let report = base.path().join("report.html").display().to_string();
    let parent = trained().display().to_string();
    let reported = json(&["report", &parent, "--out", &report, "--adapter", "cpu", "--json"]);
    let row = &reported["runs"][0];
    assert_eq!(
        (&row["name"], row["parameters"].as_u64(), row["packed_bytes"].as_u64()),
        (&"run".into(), Some(25_882), Some(14_632))
    );
    assert_eq!(row["tested"].as_f64().map(|share| share as f32), eval["accuracy"].as_f64().map(|share| share as f32));
}

#[test]
fn a_summary_adds_up() {
    let summary = json(&["summary", "vgg-small", "--json"]);
    let layers = summary["layers"].as_array().unwrap();
    for key in ["parameters", "packed_bytes", "multiply_adds"] {
        let sum: u64 = layers.iter().map(|layer| layer[key].as_u64().unwrap()).sum();
        assert_eq!(summary[key].as_u64(), Some(sum), "{key}");
    }
    assert_eq!(summary["multiply_adds"].as_u64(), Some(607_600_640));
    // 604 million multiply-adds of 1-bit weights and 2-bit codes.
    assert_eq!(summary["bit_operations"].as_u64(), Some(2 * 603_979_776));
    let conv2 = layers.iter().find(|layer| layer["name"] == "conv2").unwrap();
    assert_eq!((&conv2["weight_bits"], &conv2["input_bits"]), (&1.into(), &2.into()));
    // 128 · 128 · 9 bits and a scale for each filter.
    assert_eq!(conv2["packed_bytes"].as_u64(), Some(128 * 128 * 9 / 8 + 4 * 128));
    let text = run(trained(), &["summary", "vgg-small"]);
    assert!(text.contains("1/20.2 of 17.8 MiB in f32") && text.contains("99.4% of them on bits"), "{text}");
}

#[test]
fn output_can_be_quiet_verbose_and_coloured() {
    let base = tempfile::tempdir().unwrap();
    let short = ["train", "--adapter", "cpu", "--steps", "1"];
    for before in [true, false] {
        let quiet = if before { [&["-q"][..], &short].concat() } else { [&short[..], &["--quiet"]].concat() };
        let done = finish(command(base.path(), &quiet));
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
        assert!(done.out.starts_with("test accuracy ") && done.out.lines().count() == 1, "{}", done.out);
    }
    let done = finish(command(base.path(), &[&short[..], &["-v"]].concat()));
    assert!(done.err.contains("info: ") && done.out.contains("test accuracy"), "{}", done.err);
    // Errors are printed whatever is asked for.
    let done = finish(command(base.path(), &["-q", "eval", "none"]));
    assert!(done.code == Some(1) && done.err.starts_with("error: none"), "{}", done.err);
    let done = finish(command(base.path(), &["eval", "none", "--color", "always"]));
    assert!(done.err.starts_with("\u{1b}[1;31merror:\u{1b}[0m none"), "{:?}", done.err);
    let done = finish(command(base.path(), &["--color=always", "evl"]));
    assert!(done.code == Some(2) && done.err.contains("\u{1b}["), "{:?}", done.err);
    let done = finish(command(base.path(), &["--epochs", "2", "eval", "none"]));
    assert!(done.code == Some(2) && done.err.contains("--epochs must follow the command"), "{}", done.err);
}

#[cfg(unix)]
#[test]
fn arguments_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.png");
    let (image, _) = picture(trained(), 5);
    let mut predict = command(trained(), &["predict", "run", &image, "--adapter", "cpu"]);
    predict.arg(name);
    let done = finish(predict);
    assert!(done.code == Some(1) && done.out.starts_with(&image), "{}", done.err);
    assert!(done.err.starts_with("error: caf\u{fffd}.png: no such file"), "{}", done.err);
}

#[test]
fn a_run_records_its_origin_and_result() {
    let dir = trained().join("run");
    let info: Value = serde_json::from_str(&fs::read_to_string(dir.join("run.json")).unwrap()).unwrap();
    let command: Vec<_> = info["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command, ["halfwave", "train", "--adapter", "cpu", "--epochs", "1", "--out", "run"]);
    assert!(!info["host"].as_str().unwrap().is_empty() && info["ended"].as_str() >= info["started"].as_str(), "{info}");
    let result = &info["result"];
    assert_eq!((result["epochs"].as_u64(), result["diverged"].as_bool()), (Some(1), Some(false)));
    let accuracy = json(&["eval", &run_dir(), "--adapter", "cpu", "--json"])["accuracy"].as_f64().unwrap();
    assert_eq!(result["test_accuracy"].as_f64().map(|share| share as f32), Some(accuracy as f32));
}

#[test]
fn shells_and_manuals_know_every_command() {
    let base = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let text = run(base.path(), &["completions", shell]);
        assert!(
            ["summary", "--precision", "export"].iter().all(|word| text.contains(word.trim_start_matches('-'))),
            "{shell}"
        );
    }
    run(base.path(), &["man", "pages"]);
    for (page, part) in
        [("halfwave.1", "devices"), ("halfwave-train.1", "\\-\\-epochs"), ("halfwave-report.1", "\\-\\-plots")]
    {
        let text = fs::read_to_string(base.path().join("pages").join(page)).unwrap();
        assert!(text.contains(part), "{part} is not in {page}: {text}");
        // Examples stay lines.
        assert!(text.contains(".nf\n  halfwave ") && text.ends_with('\n'), "{page}: {text}");
    }
    fails(base.path(), &["report", "pages"], &["pages holds no run, and none of its folders does"]);
}
