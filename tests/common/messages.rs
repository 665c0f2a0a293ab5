//! Collects the messages that tests of wrong input produce: `tools/messages.sh` prints them, so that
//! they can be read as a whole.
#![allow(unreachable_pub, clippy::unwrap_used)]

use std::io::Write;

/// Appends each line to the file that `HALFWAVE_MESSAGES` names, if it is set.
pub fn collect(text: &str) {
    let Some(path) = std::env::var_os("HALFWAVE_MESSAGES") else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let lines: String = text.lines().map(|line| format!("{line}\n")).collect();
    file.write_all(lines.as_bytes()).unwrap();
}
