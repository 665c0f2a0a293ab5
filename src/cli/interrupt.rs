//! Stop requests: Ctrl-C, SIGTERM, and SIGHUP (closed terminal).
//!
//! The first request lets the current batch finish and saves the state of the run. A second Ctrl-C
//! or SIGTERM ends the program immediately. Before `watch` is called, signals have their default
//! effect.

use super::terminal::print_message;
use super::view;
use halfwave::stop::Stop;
use halfwave::{Error, Result};
use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// Stops the work in progress.
static STOP: LazyLock<Stop> = LazyLock::new(Stop::default);

/// Time of the first request, and its exit code.
static ASKED: OnceLock<(Instant, u8)> = OnceLock::new();

/// Requests that follow within this time are ignored: some programs send a signal to a process and
/// to its whole group.
const ECHO: Duration = Duration::from_millis(250);

/// A source of a stop request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Ctrl-C, as a signal or as a key.
    Interrupt,
    /// `kill`, or a system shutdown.
    Terminate,
    /// The terminal or the connection was closed.
    HangUp,
}

impl Request {
    /// Returns the signal number, which is the same on every system.
    fn signal(self) -> u8 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// Returns the exit code that shells expect: 128 plus the signal number.
    fn code(self) -> u8 {
        128 + self.signal()
    }
}

/// Returns the handle by which backends are stopped.
pub(super) fn stop() -> Stop {
    STOP.clone()
}

/// Installs the signal handlers. Signals that were ignored at startup (as under nohup) stay
/// ignored.
pub(super) fn watch() {
    if let Err(error) = signals::watch() {
        log::warn!("Ctrl-C will end the run immediately, without saving work since its last checkpoint: {error}");
    }
}

/// Handles a stop request from a signal, or from a key if the terminal is in raw mode.
pub(super) fn ask(request: Request) {
    match ASKED.get() {
        None => {
            let _ = ASKED.set((Instant::now(), request.code()));
            STOP.ask();
            print_message("note", &"stopping after the current step; repeat to quit immediately");
        }
        // Shells send more than one when a terminal closes; no user does.
        Some(_) if request == Request::HangUp => {}
        Some((first, _)) if first.elapsed() > ECHO => {
            view::leave();
            std::process::exit(i32::from(request.code()));
        }
        Some(_) => {}
    }
}

/// Returns whether a stop was requested.
pub(super) fn asked() -> bool {
    ASKED.get().is_some()
}

/// Returns the exit code after a stop request.
pub(super) fn code() -> u8 {
    ASKED.get().map_or(Request::Interrupt.code(), |(_, code)| *code)
}

/// Converts the error that ended a command into its result: a requested stop is not an error.
pub(super) fn ended(error: Error) -> Result<ExitCode> {
    match error {
        Error::Stopped => Ok(ExitCode::from(code())),
        error => Err(error),
    }
}

#[cfg(unix)]
mod signals {
    use super::{Request, ask};
    use signal_hook::iterator::Signals;
    use std::fs;
    use std::io;
    use std::process::{Command, Stdio};
    use std::thread;

    pub(super) fn watch() -> io::Result<()> {
        let ignored = ignored();
        let all = [Request::Interrupt, Request::Terminate, Request::HangUp];
        let heard = all.map(|request| (i32::from(request.signal()), request));
        let heard: Vec<_> = heard.into_iter().filter(|(_, request)| !ignored(*request)).collect();
        let mut signals = Signals::new(heard.iter().map(|(signal, _)| signal))?;
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                heard.iter().filter(|(known, _)| *known == signal).for_each(|(_, request)| ask(*request));
            }
        })?;
        Ok(())
    }

    /// Returns which signals this process ignores, before any handler is installed. Linux reports
    /// this; on other systems a child process, which inherits it, is tested.
    fn ignored() -> impl Fn(Request) -> bool {
        let mask = fs::read_to_string("/proc/self/status").ok().and_then(|status| mask(&status));
        move |request| mask.map_or_else(|| ignored_by_a_child(request), |mask| mask >> (request.signal() - 1) & 1 == 1)
    }

    /// Parses the mask of ignored signals in `/proc/<pid>/status`; the first signal is the lowest
    /// bit.
    fn mask(status: &str) -> Option<u64> {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    }

    /// Returns whether a shell survives the signal.
    fn ignored_by_a_child(request: Request) -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("kill -{} $$", request.signal())]);
        let quiet = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_ignored_is_found_in_both_ways() {
            assert_eq!(mask("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t00\n"), Some(0x1001));
            assert_eq!(mask("Name:\tx\n"), None);
            let found = ignored();
            for request in [Request::Interrupt, Request::Terminate, Request::HangUp] {
                assert_eq!(found(request), ignored_by_a_child(request), "{request:?}");
            }
        }
    }
}

#[cfg(not(unix))]
mod signals {
    use super::{Request, ask};

    pub(super) fn watch() -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(|| ask(Request::Interrupt))
    }
}
