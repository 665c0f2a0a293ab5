//! Runs `halfwave` as a user would: commands that must succeed, and commands that must fail with
//! one line of advice.
#![allow(unreachable_pub, clippy::unwrap_used)]

#[path = "messages.rs"]
pub mod messages;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The result of a command.
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// `halfwave` in a folder, without standard input.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_halfwave")), dir, args)
}

/// Another program in a folder, likewise.
pub fn command_of(program: &Path, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).env_remove("RUST_LOG").env_remove("CIFAR10_DIR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Done {
    ended(command.spawn().unwrap())
}

/// Waits for the end of a command.
pub fn ended(child: Child) -> Done {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let done = Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    messages::collect(&done.err);
    done
}

/// Runs a command that must succeed without output on stderr.
pub fn run(dir: &Path, args: &[&str]) -> String {
    let done = finish(command(dir, args));
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{args:?}\n{}", done.out);
    done.out
}

/// Returns all files below a folder, with their bytes.
pub fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            all.extend(contents(&entry));
            all.insert(entry, Vec::new());
        } else {
            all.insert(entry.clone(), fs::read(&entry).unwrap());
        }
    }
    all
}

/// Runs a command that must fail with exit code 1, one line `error: …` that contains all `parts`,
/// in a recipe with its line and a mark, and nothing written. Returns all of stderr.
pub fn fails(dir: &Path, args: &[&str], parts: &[&str]) -> String {
    let before = contents(dir);
    let done = finish(command(dir, args));
    assert_eq!(done.code, Some(1), "{args:?}: {}{}", done.out, done.err);
    let errors: Vec<_> = done.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{args:?}: {}", done.err);
    let after: Vec<_> = done.err.lines().skip_while(|line| *line != errors[0]).skip(1).collect();
    let is_excerpt = matches!(after[..], [line, mark] if line.contains(" | ") && mark.trim_end().ends_with('^'));
    assert!(after.is_empty() || is_excerpt, "{args:?}: {}", done.err);
    for part in parts {
        assert!(errors[0].contains(part), "{args:?}: \"{part}\" is not in {}", errors[0]);
    }
    assert!(contents(dir) == before, "{args:?} has written something: {:?}", contents(dir).keys());
    done.err
}
