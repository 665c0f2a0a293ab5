//! Ctrl-C, and a request to terminate: the first one lets the step under way end, and what it gave be saved; a second one ends the program at once.

use super::terminal::complain;
use super::view;
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
    if let Err(error) = ctrlc::set_handler(ask) {
        log::warn!("Ctrl-C will end the run at once, back to its last checkpoint: {error}");
    }
}

/// Somebody wants the program to end: by a signal, or by a key where the terminal makes no signals of keys.
pub(super) fn ask() {
    match ASKED.get() {
        None => {
            let _ = ASKED.set(Instant::now());
            complain("note", &"stopping after the step under way; once more to leave at once");
        }
        Some(first) if first.elapsed() > ECHO => {
            view::leave();
            std::process::exit(i32::from(CODE));
        }
        Some(_) => {}
    }
}

/// Whether somebody wants it to end.
pub(super) fn asked() -> bool {
    ASKED.get().is_some()
}
