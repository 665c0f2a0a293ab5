//! A request to end: Ctrl-C, a request to terminate, a terminal that is gone. The first one lets the batch under way end, and what is finished be saved; Ctrl-C or a request to terminate once more ends the program at once.
//!
//! Before there is a run to save, signals do what the system does with them: the program ends at once.

use super::terminal::complain;
use super::view;
use halfwave::stop::Stop;
use halfwave::{Error, Result};
use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// What stops whatever works.
static STOP: LazyLock<Stop> = LazyLock::new(Stop::default);

/// When the first request came, and the exit code that it asks for.
static ASKED: OnceLock<(Instant, u8)> = OnceLock::new();

/// Nobody asks twice within this time; but some programs send a signal to a process and to its whole group.
const ECHO: Duration = Duration::from_millis(250);

/// What asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Ctrl-C, as a signal or as a key.
    Interrupt,
    /// `kill`, or a system that shuts down.
    Terminate,
    /// The terminal is gone, or the connection.
    HangUp,
}

impl Request {
    /// The number of the signal, the same on every system.
    fn signal(self) -> u8 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// What a shell expects of a program that it ended: 128 and the number of the signal.
    fn code(self) -> u8 {
        128 + self.signal()
    }
}

/// What backends are to be stopped by.
pub(super) fn stop() -> Stop {
    STOP.clone()
}

/// From here on, what wants the program to end stops the work before it does. Signals that were ignored when the program began, as under nohup, stay so.
pub(super) fn watch() {
    if let Err(error) = signals::watch() {
        log::warn!("Ctrl-C will end the run at once, back to its last checkpoint: {error}");
    }
}

/// Somebody wants the program to end: by a signal, or by a key where the terminal makes no signals of keys.
pub(super) fn ask(request: Request) {
    match ASKED.get() {
        None => {
            let _ = ASKED.set((Instant::now(), request.code()));
            STOP.ask();
            complain("note", &"stopping after the step under way; once more to leave at once");
        }
        // Shells send more than one when a terminal closes; no person does.
        Some(_) if request == Request::HangUp => {}
        Some((first, _)) if first.elapsed() > ECHO => {
            view::leave();
            std::process::exit(i32::from(request.code()));
        }
        Some(_) => {}
    }
}

/// Whether somebody wants it to end.
pub(super) fn asked() -> bool {
    ASKED.get().is_some()
}

/// The exit code of a program that ends because somebody asked.
pub(super) fn code() -> u8 {
    ASKED.get().map_or(Request::Interrupt.code(), |(_, code)| *code)
}

/// How a command ends whose work ended in an error: one that somebody asked for is none.
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

    /// Which signals are ignored by this process, as long as it has changed nothing. Linux tells; elsewhere a child does, which inherits that.
    fn ignored() -> impl Fn(Request) -> bool {
        let mask = fs::read_to_string("/proc/self/status").ok().and_then(|status| mask(&status));
        move |request| mask.map_or_else(|| ignored_by_a_child(request), |mask| mask >> (request.signal() - 1) & 1 == 1)
    }

    /// The ignored signals in a `/proc/<pid>/status`, the first in the lowest bit.
    fn mask(status: &str) -> Option<u64> {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    }

    /// Whether a shell survives the signal.
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
