//! Ctrl-C, and a request to terminate: the first one lets the step under way end, and what it gave be saved; a second one ends the program at once.

use super::terminal::complain;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// When the first one came.
static ASKED: OnceLock<Instant> = OnceLock::new();

/// Nobody asks twice within this time; but some programs send a signal to a process and to its whole group.
const ECHO: Duration = Duration::from_millis(250);

/// What a shell expects of a program that Ctrl-C ended: 128 + SIGINT.
pub(super) const CODE: u8 = 130;

/// From here on, what wants the program to end shows in [`asked`] before it does.
pub(super) fn watch() {
    let handler = || match ASKED.get() {
        None => {
            let _ = ASKED.set(Instant::now());
            complain("note", &"stopping after the step under way; once more to leave at once");
        }
        Some(first) if first.elapsed() > ECHO => std::process::exit(i32::from(CODE)),
        Some(_) => {}
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will end the run at once, back to its last checkpoint: {error}");
    }
}

/// Whether somebody wants it to end.
pub(super) fn asked() -> bool {
    ASKED.get().is_some()
}
