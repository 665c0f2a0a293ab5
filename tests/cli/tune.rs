//! `tune` saves its results, later runs use them, and a resumed run keeps its kernels whatever has
//! been measured since.

use super::common;
use super::program::{Done, command, fails, finish};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::recipe::{Recipe, builtin};
use halfwave::train::session::training_plan;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the command with only the first driver and a separate cache folder.
fn with_driver(dir: &Path, icd: &str, args: &[&str]) -> Command {
    let mut command = command(dir, args);
    command.env("HALFWAVE_CACHE_DIR", dir.join("cache")).env_remove("HALFWAVE_CHECKS");
    command.env("VK_DRIVER_FILES", icd).env("VK_ICD_FILENAMES", icd);
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command
}

/// Runs the command on that driver; it must succeed.
fn on_driver(dir: &Path, icd: &str, args: &[&str]) -> Done {
    let mut command = with_driver(dir, icd, args);
    command.args(["--adapter", "0"]);
    let done = finish(command);
    assert_eq!(done.code, Some(0), "{args:?}: {}{}", done.out, done.err);
    done
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Returns the only kernels file in the cache.
fn kept(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.to_str().unwrap().contains("kernels-") && file.extension().unwrap() == "json")
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// Replaces the cached choices.
fn choose(dir: &Path, choices: Value) {
    let mut file = json(&kept(dir));
    file["choices"] = choices;
    fs::write(kept(dir), file.to_string()).unwrap();
}

/// Returns the key of the weight gradient of the first packed convolution in a step of the given
/// batch size.
fn site(batch: usize) -> String {
    let plan = training_plan(&Recipe::digits(), batch, &Caps::baseline(DeviceClass::Software)).unwrap();
    plan.choices().into_keys().find(|site| site.starts_with("bconv_dw ")).unwrap()
}

/// The run's kernels are also used for the shorter last batch of an epoch and for evaluations.
#[test]
fn a_run_goes_on_with_its_own_kernels_alone() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    // A constant learning rate: an extended run is the same as one that was longer from the start.
    let constant = builtin("digits").unwrap().replace("kind = \"linear\"  ", "kind = \"constant\"");
    fs::write(dir.join("constant.toml"), constant).unwrap();
    for (_, icd) in common::drivers().into_iter().take(1) {
        let train = |more: &[&str]| on_driver(dir, &icd, &[&["train", "--plain"], more].concat());
        let checkpoint = |run: &str| fs::read(dir.join(run).join("checkpoint.safetensors")).unwrap();
        on_driver(dir, &icd, &["tune", "--forget"]);
        // The estimate is more than one part for either kernel, so one part must be recorded
        // explicitly.
        let tuned = json!({ site(1437 % 64): { "kernel": "tile64", "parts": 1 }, site(64): { "kernel": "tile64", "parts": 1 } });
        train(&["constant.toml", "--epochs", "2", "--out", "plain"]);
        train(&["constant.toml", "--epochs", "1", "--out", "plain-on"]);
        choose(dir, tuned.clone());
        train(&["constant.toml", "--epochs", "2", "--out", "tuned"]);
        train(&["constant.toml", "--epochs", "1", "--out", "tuned-on"]);
        train(&["--resume", "plain-on", "--epochs", "2"]);
        choose(dir, json!({}));
        train(&["--resume", "tuned-on", "--epochs", "2"]);
        assert!(checkpoint("plain") != checkpoint("tuned"), "the check shows nothing");
        assert!(checkpoint("plain") == checkpoint("plain-on"), "what was measured later has changed the run");
        assert!(checkpoint("tuned") == checkpoint("tuned-on"), "the run has lost a kernel");
        // A kernel that does not exist is reported by name.
        let path = dir.join("plain-on/run.json");
        let mut about = json(&path);
        about["kernels"][site(64)] = json!({ "kernel": "magic" });
        fs::write(&path, about.to_string()).unwrap();
        let done = train(&["--resume", "plain-on", "--epochs", "3"]);
        assert!(done.err.contains("warning: 1 of the run's kernels") && done.err.contains("magic"), "{}", done.err);
    }
}

/// With wgpu's checks, the program differs from the one that an earlier verdict applies to, and
/// only kernels that rely on the driver in spite of the checks are compared: those on cooperative
/// matrices, if the driver supports them.
#[test]
fn no_kernel_is_judged_by_what_runs_with_checks() {
    let base = tempfile::tempdir().unwrap();
    for (_, icd) in common::drivers().into_iter().take(1) {
        on_driver(base.path(), &icd, &["tune", "--forget"]);
        choose(base.path(), json!({ site(64): { "kernel": "tile64", "parts": 3 } }));
        let mut command = with_driver(base.path(), &icd, &["train", "--steps", "1", "--adapter", "0"]);
        command.env("HALFWAVE_CHECKS", "1");
        let done = finish(command);
        assert_eq!(done.code, Some(0), "{}", done.err);
        let chosen = &json(&base.path().join("runs/digits-1/run.json"))["kernels"][site(64)];
        assert_eq!(chosen, &json!({ "kernel": "tile64", "parts": 3 }), "the check shows nothing");
        let kept = json(&kept(base.path()));
        assert!(kept["verdicts"].as_object().unwrap().keys().all(|key| key.ends_with(" with checks")), "{kept}");
    }
}

/// A negative verdict is reported and can be discarded, and whatever the file contains, at least
/// one kernel remains.
#[test]
fn kernels_that_were_found_wrong_are_named_and_forgotten() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for (_, icd) in common::drivers().into_iter().take(1) {
        let on_driver = |args: &[&str]| on_driver(dir, &icd, args);
        assert!(on_driver(&["tune", "--forget"]).out.contains("no kernel data was cached"));
        let mut file = json(&kept(dir));
        let kernels = ["registers", "tile64", "tile128", "narrow", "folded"];
        let stems = ["conv", "conv_dx", "conv_dw", "bconv", "bconv_dx", "bconv_dw"];
        for key in stems.iter().flat_map(|stem| kernels.map(|kernel| format!("{stem}/{kernel}"))) {
            file["verdicts"][key] = false.into();
        }
        fs::write(kept(dir), file.to_string()).unwrap();
        let bench = on_driver(&["bench", "digits", "--batch", "4", "--rounds", "1", "--steps-only"]);
        assert!(
            bench.out.contains("not used on this device") && bench.out.contains("bconv_dw/tile64"),
            "{}",
            bench.out
        );
        let forgotten = on_driver(&["tune", "--forget"]).out;
        let parts = ["discarded 0 measured choices and 30 first-use results", "bconv/tile64", "had been wrong"];
        assert!(parts.iter().all(|part| forgotten.contains(part)), "{forgotten}");
        assert_eq!(json(&kept(dir))["verdicts"], json!({}));
    }
}

/// Nothing is measured if the result cannot be saved.
#[test]
fn tune_needs_a_cache_that_can_be_written() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("cache"), "a file").unwrap();
    for (_, icd) in common::drivers().into_iter().take(1) {
        for args in [&["tune", "digits", "--adapter", "0"][..], &["tune", "--forget", "--adapter", "0"]] {
            let done = finish(with_driver(base.path(), &icd, args));
            assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{}", done.err);
            assert!(done.err.starts_with("error: ") && done.err.contains("cache"), "{}", done.err);
        }
    }
}

/// Without a GPU, later commands use the CPU backend, so nothing is measured that none of them
/// would use.
#[test]
fn without_a_gpu_there_is_nothing_to_tune() {
    let base = tempfile::tempdir().unwrap();
    for (_, icd) in common::drivers().into_iter().take(1) {
        let done = finish(with_driver(base.path(), &icd, &["tune"]));
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
        let parts = ["no GPU was found", "one implementation per operation", "add --adapter 0"];
        assert!(parts.iter().all(|part| done.out.contains(part)) && done.out.lines().count() == 1, "{}", done.out);
        let help = finish(with_driver(base.path(), &icd, &["tune", "--help"])).out;
        assert!(help.contains("[default: the first GPU]") && !help.contains("or else cpu"), "{help}");
    }
}

#[test]
fn a_run_takes_what_was_measured_and_keeps_it() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fails(dir, &["tune", "--adapter", "cpu"], &["one implementation per operation"]);
    for (_, icd) in common::drivers().into_iter().take(1) {
        let on_driver = |args: &[&str]| on_driver(dir, &icd, args);
        let done = on_driver(&["tune", "digits", "--batch", "4", "--rounds", "1"]);
        let parts = ["operation", "conv_dw", "bconv_dx", "conv2", "by estimate", "with the fastest"];
        assert!(parts.iter().all(|part| done.out.contains(part)), "{}", done.out);
        // One line per kernel, and at the end who uses the result.
        assert!(done.out.lines().any(|line| line.starts_with("[2/") && line.ends_with(": registers")), "{}", done.out);
        assert!(
            done.out.trim_end().ends_with("later runs on this device use them, if started with --adapter 0"),
            "{}",
            done.out
        );

        // The measurement is noise here, so it is replaced by another choice, for one operation
        // with its shapes.
        choose(dir, json!({}));
        on_driver(&["train", "--epochs", "1", "--plain", "--out", "plain"]);
        let kernels = |run: &str| json(&dir.join(run).join("run.json"))["kernels"].clone();
        let plain = kernels("plain");
        let (site, _) = plain.as_object().unwrap().iter().find(|(site, _)| site.starts_with("bconv_dw ")).unwrap();
        assert_eq!(plain[site]["kernel"], "registers");
        choose(dir, json!({ site: { "kernel": "tile64", "parts": 3 } }));
        let plan = on_driver(&["plan"]).out;
        let marked: Vec<_> = plan.lines().filter(|line| line.ends_with("  tuned")).collect();
        assert!(marked.len() == 1 && marked[0].contains("bconv_dw_tile64"), "{plan}");
        let done = on_driver(&["train", "--epochs", "1", "--plain", "--out", "tuned"]);
        assert!(!done.err.contains("unusable"), "{}", done.err);
        let tuned = kernels("tuned");
        assert_eq!(tuned[site], json!({ "kernel": "tile64", "parts": 3 }));
        let others = |kernels: &Value| {
            let mut kernels = kernels.clone();
            kernels.as_object_mut().unwrap().remove(site);
            kernels
        };
        assert_eq!(others(&tuned), others(&plain));
        // Kernels that rely on the driver have been compared before.
        assert_eq!(json(&kept(dir))["verdicts"], json!({ "bconv_dw/tile64": true }));

        // The run keeps its kernels when resumed; a new run uses the estimate again.
        let forgotten = on_driver(&["tune", "--forget"]).out;
        assert!(forgotten.contains("discarded 1 measured choice and 1 first-use result;"), "{forgotten}");
        let done = on_driver(&["train", "--resume", "tuned", "--epochs", "2", "--plain"]);
        assert!(!done.err.contains("may differ"), "{}", done.err);
        assert_eq!(kernels("tuned"), tuned);
        let hash = |run: &str| json(&dir.join(run).join("run.json"))["plan_hash"].clone();
        assert_ne!(hash("tuned"), hash("plain"));
        on_driver(&["train", "--epochs", "1", "--plain", "--out", "again"]);
        assert_eq!((kernels("again"), hash("again")), (plain, hash("plain")));
    }
}
