//! Training on a pseudo-terminal: the view appears, handles keys, and restores the terminal however
//! the run ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test may panic

use halfwave::train::run::SavedRun;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// Escape sequences that enter and leave the alternate screen.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

/// `halfwave train` with a separate terminal.
struct OnTerminal {
    child: Child,
    keys: File,
    line: File,
    before: Termios,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// The exit code, and all output.
struct Ended {
    code: Option<i32>,
    text: String,
}

impl OnTerminal {
    fn train(dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let line = File::from(ioctl_tiocgptpeer(&controller, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
        let end = || Stdio::from(line.try_clone().unwrap());
        // In a separate session, with this as its controlling terminal.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_halfwave"), "train", "--adapter", "cpu"]).args(args);
        command.current_dir(dir).env_remove("RUST_LOG").env_remove("NO_COLOR").env("TERM", "xterm-256color");
        command.envs(variables.iter().copied()).stdin(end()).stdout(end()).stderr(end());
        resize(&line, 100, 30);
        let before = tcgetattr(&line).unwrap();
        let child = command.spawn().unwrap();
        let keys = File::from(controller);
        let (mut output, seen) = (keys.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&seen);
        let reader = spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                kept.lock().unwrap().extend(&bytes[..count]);
            }
        });
        Self { child, keys, line, before, seen, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits until a string has been written `times` times.
    fn wait_for(&mut self, part: &str, times: usize) {
        let begun = Instant::now();
        while self.text().matches(part).count() < times {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(60), "no {part:?}: {}", self.text());
            sleep(Duration::from_millis(5));
        }
    }

    fn press(&mut self, key: u8) {
        self.keys.write_all(&[key]).unwrap();
    }

    /// Waits for the end; the terminal must be restored.
    fn ended(self) -> Ended {
        let Self { mut child, keys, line, before, seen, reader } = self;
        let code = child.wait().unwrap().code();
        let after = tcgetattr(&line).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"), "the terminal's settings");
        drop((keys, line));
        reader.join().unwrap();
        let text = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
        Ended { code, text }
    }
}

impl Ended {
    /// Returns the scroll-back: everything except the view, which must have been shown.
    fn lines(&self) -> String {
        let (before, view) = self.text.split_once(ENTER).expect("the view appears");
        let (view, after) = view.rsplit_once(LEAVE).expect("the view goes");
        assert!(view.contains("\u{1b}[?25l") && view.ends_with("\u{1b}[?25h"), "the cursor is shown again: {view:?}");
        // Only the words "note:" and "error:" have colours.
        let words = ["\u{1b}[1;36mnote:\u{1b}[0m", "\u{1b}[1;31merror:\u{1b}[0m"];
        let plain = |text: &str| text.replace(words[0], "note:").replace(words[1], "error:");
        let text = plain(before) + &plain(after);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "printed in raw mode: {text:?}");
        text.replace("\r\n", "\n")
    }
}

fn resize(terminal: &File, columns: u16, rows: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// Writes a recipe of digits with small steps, so that a run takes a while.
fn long(dir: &Path) {
    fs::write(dir.join("long.toml"), "extends = \"digits\"\n[train]\nbatch = 4\nepochs = 2\n").unwrap();
}

#[test]
fn ctrl_c_as_a_key_saves_the_run_and_gives_the_terminal_back() {
    for key in [0x03, b'q'] {
        let base = tempfile::tempdir().unwrap();
        long(base.path());
        let mut run = OnTerminal::train(base.path(), &["long.toml", "--out", "cut"], &[]);
        run.wait_for(ENTER, 1);
        run.wait_for("images/s", 1);
        run.press(key);
        let ended = run.ended();
        let lines = ended.lines();
        assert_eq!(ended.code, Some(130), "{lines}");
        assert!(ended.text.contains("\u{1b}[1;36mnote:\u{1b}[0m stopping"), "{:?}", ended.text);
        let parts = [
            "training on the CPU backend, batch of 4, into cut\n",
            "note: stopping after the current step; repeat to quit immediately\n",
            "\nstopped after",
            "\n  halfwave train --resume cut\n",
        ];
        let places = parts.map(|part| lines.find(part).unwrap_or_else(|| panic!("{part:?} is not in {lines}")));
        assert!(places.is_sorted(), "{lines}");
        let position = SavedRun::read(&base.path().join("cut")).unwrap().checkpoint.position;
        assert!(position.step > 0 && position.step < 720, "{position:?}");

        let done = OnTerminal::train(base.path(), &["--resume", "cut"], &[]).ended();
        let lines = done.lines();
        assert!(done.code == Some(0) && lines.contains(&format!("at step {} of 720", position.step)), "{lines}");
    }
}

/// Returns the lines without times, which differ between runs.
fn without_times(text: &str) -> Vec<&str> {
    let cut = |line: &'static str, text| -> Option<usize> { str::find(text, line) };
    text.lines()
        .map(|line| &line[..cut("images/s", line).map_or(line.len(), |at| at - 10)])
        .map(|line| line.split(", in ").next().unwrap())
        .collect()
}

#[test]
fn the_lines_of_plain_are_left_behind_or_all_there_is() {
    let base = tempfile::tempdir().unwrap();
    let args = ["--epochs", "2", "--out", "run"];
    let shown = OnTerminal::train(base.path(), &args, &[]).ended();
    fs::remove_dir_all(base.path().join("run")).unwrap();
    let plain = OnTerminal::train(base.path(), &[&args[..], &["--plain"]].concat(), &[]).ended();
    fs::remove_dir_all(base.path().join("run")).unwrap();
    let others = [
        // The capabilities of the first three terminals are unknown; the last one does not support
        // the view's characters.
        &[("TERM", "dumb")][..],
        &[("TERM", "")],
        &[("TERM", "unknown")],
        &[("LC_ALL", "de_DE.ISO-8859-1")],
    ];
    let others: Vec<_> = others
        .into_iter()
        .map(|variables| {
            let ended = OnTerminal::train(base.path(), &args, variables).ended();
            fs::remove_dir_all(base.path().join("run")).unwrap();
            ended
        })
        .collect();
    for lines in [&plain].into_iter().chain(&others) {
        assert!(lines.code == Some(0) && !lines.text.contains('\u{1b}'), "{:?}", lines.text);
        let text = lines.text.replace("\r\n", "\n");
        assert!(text.contains("epoch 2/2"), "{text}");
        assert_eq!(without_times(&shown.lines()), without_times(&text));
    }
}

#[test]
fn colours_are_left_out_when_nobody_wants_them() {
    let base = tempfile::tempdir().unwrap();
    let cases = [
        ("NO_COLOR", "", true),
        ("NO_COLOR", "1", false),
        ("CLICOLOR", "0", false),
        ("CLICOLOR_FORCE", "1", true),
        ("TERM", "linux", true),
    ];
    for (at, (variable, value, coloured)) in cases.into_iter().enumerate() {
        let out = at.to_string();
        let args = ["--steps", "30", "--out", &out];
        let ended = OnTerminal::train(base.path(), &args, &[(variable, value)]).ended();
        assert_eq!(ended.text.contains("\u{1b}[38;"), coloured, "{:?}", ended.text);
        assert!(ended.lines().contains("test accuracy"));
    }
}

#[test]
fn other_sizes_ctrl_z_and_a_signal_leave_the_terminal_whole() {
    let base = tempfile::tempdir().unwrap();
    long(base.path());
    let mut run = OnTerminal::train(base.path(), &["long.toml", "--epochs", "60", "--out", "run"], &[]);
    run.wait_for("images/s", 1);
    for (columns, rows) in [(1, 1), (40, 12), (300, 90), (2, 40), (100, 30)] {
        resize(&run.line, columns, rows);
        sleep(Duration::from_millis(150));
    }
    // No shell waits for this session, so the system does not stop it: the view is closed and
    // opened again.
    run.press(0x1a);
    run.wait_for(ENTER, 2);
    run.wait_for(LEAVE, 1);
    let id = run.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let ended = run.ended();
    assert_eq!(ended.code, Some(143), "{}", ended.text);
    assert!(ended.text.rsplit_once(LEAVE).unwrap().1.contains("stopped after"), "{}", ended.text);
}

#[test]
fn a_second_ctrl_c_gives_the_terminal_back_at_once() {
    let base = tempfile::tempdir().unwrap();
    // A step that takes seconds.
    let layer = "[[model.layers]]\nname = \"c\"\nkind = \"conv\"\nfilters = 768\nkernel = 5\npadding = 2\n";
    let second = layer.replace("\"c\"", "\"d\"");
    let text = format!(
        "[model]\ninput = [1, 8, 8]\nclasses = 10\n{layer}{second}[[model.layers]]\nname = \"fc\"\nkind = \"linear\"\nunits = 10\n[data]\nset = \"digits\"\n[train]\nbatch = 64\nsteps = 9\n[train.optimizer]\nkind = \"sgd\"\nlr = 0.001\n"
    );
    fs::write(base.path().join("slow.toml"), text).unwrap();
    let mut run = OnTerminal::train(base.path(), &["slow.toml", "--out", "slow"], &[]);
    run.wait_for("waiting for the first step", 1);
    run.press(0x03);
    run.wait_for("quit immediately", 1);
    sleep(Duration::from_millis(400));
    assert!(run.child.try_wait().unwrap().is_none(), "the first lets the step end");
    run.press(0x03);
    let ended = run.ended();
    let lines = ended.lines();
    assert_eq!(ended.code, Some(130), "{lines}");
    assert!(lines.ends_with("repeat to quit immediately\n"), "{lines}");
    assert_eq!(SavedRun::read(&base.path().join("slow")).unwrap().checkpoint.position.step, 0);
}

#[test]
fn an_error_is_read_below_the_lines() {
    let base = tempfile::tempdir().unwrap();
    let text = "extends = \"digits\"\n[train.optimizer]\nlr = 1e30\n";
    fs::write(base.path().join("wild.toml"), text).unwrap();
    let ended = OnTerminal::train(base.path(), &["wild.toml", "--out", "wild"], &[]).ended();
    let lines = ended.lines();
    let last = lines.lines().next_back().unwrap_or_default();
    assert!(ended.code == Some(1) && last.starts_with("error: found NaN or infinity at step "), "{lines}");
}
