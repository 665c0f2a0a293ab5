//! `halfwave profile` on the command line.

use super::common;
use halfwave::profile::{Launch, Profile};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn command(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfwave"));
    command
        .arg("profile")
        .args(args)
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .env("HALFWAVE_CACHE_DIR", dir.join("cache"));
    command.output().unwrap()
}

pub(crate) fn out(dir: &Path, args: &[&str]) -> String {
    let output = command(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with exit code 1 and one line of advice that contains all `parts`.
pub(crate) fn fails(dir: &Path, args: &[&str], parts: &[&str]) {
    let output = command(dir, args);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
    let errors: Vec<_> = err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{args:?}: {err}");
    parts.iter().for_each(|part| assert!(errors[0].contains(part), "{args:?}: \"{part}\" is not in {}", errors[0]));
}

#[test]
fn a_profile_is_shown_written_and_compared() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let digits = ["digits", "--adapter", "cpu", "--steps", "3"];
    let files = ["--json", "a.json", "--trace", "a.trace.json", "--perfetto", "a.pftrace", "--html", "a.html"];
    let shown = out(dir, &[&digits[..], &files[..]].concat());
    for part in [
        "a step of 64 images",
        "launches add up to",
        "conv2",
        "Gbitop/s",
        "statistics",
        "kept for the backward pass",
        "written to a.html",
    ] {
        assert!(shown.contains(part), "\"{part}\" is not in\n{shown}");
    }
    let profile = Profile::from_json(&fs::read_to_string(dir.join("a.json")).unwrap(), "a.json").unwrap();
    assert_eq!((profile.recipe.as_str(), profile.batch, profile.steps), ("digits", 64, 3));
    assert!(profile.ceilings.is_none(), "the CPU backend has no kernels");
    assert!(fs::read(dir.join("a.pftrace")).unwrap().windows(9).any(|part| part == b"a.pftrace"), "the command line");
    assert!(fs::read_to_string(dir.join("a.html")).unwrap().contains("halfwave-profile"));
    // The table omits short launches unless --all is given; this is the name of a kernel that takes
    // hardly any time.
    let all = out(dir, &[&digits[..], &["--all"]].concat());
    assert!(all.contains("record") && !shown.contains("record") && shown.contains("--all shows them"));

    assert!(out(dir, &["--diff", "a.json", "a.json"]).contains("no launch became slower or faster"));
    let mut slower = profile.clone();
    let launch = slower.launches.iter_mut().max_by_key(|launch| launch.median_ns).unwrap();
    let Launch { min_ns, p10_ns, p25_ns, median_ns, p90_ns, .. } = launch;
    for ns in [min_ns, p10_ns, p25_ns, median_ns, p90_ns] {
        *ns = ns.map(|ns| 20 * ns);
    }
    let (kernel, layer) = (launch.kernel.clone(), launch.layer.clone());
    fs::write(dir.join("b.json"), slower.to_json()).unwrap();
    let told = out(dir, &["--diff", "a.json", "b.json", "--html", "difference.html"]);
    let list = told.split("slower than most\n").nth(1).unwrap_or_else(|| panic!("no alarm in\n{told}"));
    assert!(list.lines().next().unwrap().contains(&kernel), "{told}");
    assert!(told.contains("only 3 steps were measured"), "{told}");
    // The layer of that launch has the largest difference.
    let layers = told.split("\nby layer").nth(1).unwrap_or_else(|| panic!("no layers in\n{told}"));
    assert!(layers.lines().nth(1).unwrap().trim_start().starts_with(&layer), "{told}");
    let page = fs::read_to_string(dir.join("difference.html")).unwrap();
    assert!(page.contains("<title>digits · halfwave profiles compared</title>") && page.contains("difference_ns"));
}

#[test]
fn mistakes_are_told_before_anything_is_measured() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("x.json"), "[]").unwrap();
    fs::create_dir(dir.join("full")).unwrap();
    fails(dir, &["--diff", "x.json", "x.json"], &["x.json: it is not a profile", "--json FILE"]);
    fails(dir, &["--diff", "a.json", "x.json"], &["a.json"]);
    let both = command(dir, &["--diff", "a.json", "x.json", "--steps", "3"]);
    let told = String::from_utf8(both.stderr).unwrap();
    assert!(both.status.code() == Some(2) && told.contains("cannot be used with '--steps <N>'"), "{told}");
    fails(dir, &["--json", "nowhere/a.json"], &["nowhere/a.json"]);
    fails(dir, &["--html", "full"], &["full: this is a folder"]);
    fails(dir, &["no-such-recipe"], &["no-such-recipe", "digits"]);
    fails(dir, &["--adapter", "cpu", "--api-trace", "calls"], &["the CPU backend does not make"]);
    fails(dir, &["--adapter", "cpu", "--steps", "1", "--capture"], &["captures need an adapter"]);
    assert!(!dir.join("calls").exists(), "a folder was made for nothing");
}

#[test]
fn calls_are_recorded_and_captures_do_no_harm() {
    common::on_each_driver("command::calls_are_recorded_and_captures_do_no_harm", || {
        let Some(found) = common::adapter() else { return };
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("full")).unwrap();
        fs::write(base.path().join("full/x"), "").unwrap();
        fails(base.path(), &["--adapter", "0", "--api-trace", "full"], &["full is not empty"]);
        // A software adapter is used only if it is named.
        if found.report.software {
            fails(base.path(), &["--api-trace", "new"], &["the CPU backend does not make", "--adapter"]);
        }
        let of_adapter = ["digits", "--adapter", "0", "--steps", "1", "--batch", "4"];
        let shown = out(base.path(), &[&of_adapter[..], &["--capture", "--api-trace", "calls"]].concat());
        assert!(shown.contains("a step was executed for a capture"), "{shown}");
        let calls = fs::read_to_string(base.path().join("calls/trace.ron")).unwrap();
        // Names for the platform's own tools: a group for each launch. The trace contains them as
        // bytes, one number per line.
        assert!(calls.contains("PushDebugGroup"));
        let calls: String = calls.split_whitespace().collect();
        for name in ["conv2 bconv_", "fc conv_dw_"] {
            let bytes: Vec<_> = name.bytes().map(|byte| byte.to_string()).collect();
            assert!(calls.contains(&bytes.join(",")), "\"{name}\" is not in the record of calls");
        }
    });
}
