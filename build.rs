//! Provides `HALFWAVE_COMMIT`, the commit that a release build was made from, and
//! `HALFWAVE_VERSION`, which includes it.
//!
//! The commit is that in the environment variable `HALFWAVE_COMMIT`, in `.cargo_vcs_info.json` of a
//! packed crate, or of the Git checkout. Debug builds take only the variable: otherwise each commit
//! would compile everything again.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=HALFWAVE_COMMIT");
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let found = || if release { packed().or_else(checked_out) } else { None };
    let mut version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    if let Some(commit) = env::var("HALFWAVE_COMMIT").ok().or_else(found) {
        let short = commit.get(..12).unwrap_or(&commit);
        println!("cargo::rustc-env=HALFWAVE_COMMIT={short}");
        version += &format!(" ({short})");
    }
    println!("cargo::rustc-env=HALFWAVE_VERSION={version}");
}

fn packed() -> Option<String> {
    let file = ".cargo_vcs_info.json";
    println!("cargo::rerun-if-changed={file}");
    let text = std::fs::read_to_string(file).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(String::from)
}

fn checked_out() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
    };
    // A crate inside another project's repository has no commit of its own.
    let here = env::current_dir().and_then(|dir| dir.canonicalize()).ok()?;
    let root = git(&["rev-parse", "--show-toplevel"])?;
    (Path::new(&root).canonicalize().ok()? == here).then_some(())?;
    for path in ["HEAD", "logs/HEAD"] {
        println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", path])?);
    }
    git(&["rev-parse", "HEAD"])
}
