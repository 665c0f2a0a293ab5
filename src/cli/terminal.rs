//! Output to the terminal. Unlike `println!`, nothing here panics when an output stream is closed.

use halfwave::text::columns;
use halfwave::{Error, Result};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl Stream {
    /// Writes text; a closed stream is not an error.
    fn write(self, text: &str) {
        let _ = match self {
            Self::Out => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Self::Err => std::io::stderr().lock().write_all(text.as_bytes()),
        };
    }
}

/// Where status lines go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Standard output.
    Out,
    /// Standard error, because standard output has the result for another program.
    Err,
    /// Nowhere.
    Off,
}

/// A [`Status`].
static STATUS: AtomicU8 = AtomicU8::new(Status::Out as u8);
static COLOR: AtomicBool = AtomicBool::new(false);

/// Sets where status lines go.
pub(super) fn set_status(status: Status) {
    STATUS.store(status as u8, Relaxed);
}

/// Prints status lines to standard error, if they are printed at all.
pub(super) fn divert_status() {
    let _ = STATUS.compare_exchange(Status::Out as u8, Status::Err as u8, Relaxed, Relaxed);
}

/// Sets whether messages on standard error have colours.
pub(super) fn set_color(color: bool) {
    COLOR.store(color, Relaxed);
}

/// Output that is held back while a view occupies the terminal.
#[derive(Default)]
struct Held {
    lines: VecDeque<(Stream, String)>,
    /// Number of lines for stderr.
    notes: usize,
    /// Number of dropped lines for stderr.
    dropped: usize,
}

/// Maximum number of lines for stderr that are held; older ones are dropped, because a log may be
/// endless.
const NOTES: usize = 1000;

static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    fn push(&mut self, stream: Stream, text: &str) {
        self.lines.push_back((stream, text.to_string()));
        self.notes += usize::from(stream == Stream::Err);
        if self.notes > NOTES
            && let Some(first) = self.lines.iter().position(|(stream, _)| *stream == Stream::Err)
        {
            self.lines.remove(first);
            (self.notes, self.dropped) = (self.notes - 1, self.dropped + 1);
        }
    }

    fn last_note(&self) -> Option<String> {
        let notes = self.lines.iter().rev().filter(|(stream, _)| *stream == Stream::Err);
        let lines = notes.flat_map(|(_, text)| text.lines().rev()).map(|line| line.replace(char::is_control, " "));
        lines.map(|line| line.trim().to_string()).find(|line| !line.is_empty())
    }
}

/// Holds back all further output until [`release`].
pub(super) fn hold() {
    held().get_or_insert_default();
}

/// Prints the output held back, and ends holding.
pub(super) fn release() {
    let Some(Held { lines, dropped, .. }) = held().take() else { return };
    if dropped > 0 {
        Stream::Err.write(&format!("note: {dropped} earlier lines of the log were dropped\n"));
    }
    lines.iter().for_each(|(stream, text)| stream.write(text));
}

/// Returns the last line for stderr that is held back.
pub(super) fn last_note() -> Option<String> {
    held().as_ref()?.last_note()
}

fn emit(stream: Stream, text: &str) {
    if let Some(held) = &mut *held() {
        return held.push(stream, text);
    }
    // Without the lock, so that a reader that blocks does not delay the handling of Ctrl-C.
    stream.write(text);
}

/// Writer for the log.
struct Log;

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        emit(Stream::Err, &String::from_utf8_lossy(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints the output of a command. A closed pipe (`| head`) is not an error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Prints a status line. Errors are ignored, so that training continues without a reader.
pub(super) fn print_status(line: &str) {
    let status = STATUS.load(Relaxed);
    if status != Status::Off as u8 {
        let stream = if status == Status::Out as u8 { Stream::Out } else { Stream::Err };
        emit(stream, &format!("{line}\n"));
    }
}

/// Prints `note: …`, `warning: …` or `error: …` to stderr. Notes are status.
pub(super) fn print_message(kind: &str, message: &dyn Display) {
    if kind == "note" && STATUS.load(Relaxed) == Status::Off as u8 {
        return;
    }
    let color = match kind {
        "error" => "1;31",
        "warning" => "1;33",
        _ => "1;36",
    };
    let text = if COLOR.load(Relaxed) { format!("\x1b[{color}m{kind}:\x1b[0m") } else { format!("{kind}:") };
    emit(Stream::Err, &format!("{text} {message}\n"));
}

/// Like [`print_message`], but prints each message only once.
pub(super) fn print_message_once(kind: &str, message: &dyn Display) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let message = message.to_string();
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(message.clone()) {
        print_message(kind, &message);
    }
}

/// Returns whether the terminal supports a view: TERM must name its type (except on a Windows
/// console), and it must support UTF-8.
pub(super) fn is_capable() -> bool {
    capable(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn capable(get: impl Fn(&str) -> Option<String>) -> bool {
    let moves = match get("TERM").as_deref() {
        None => cfg!(windows),
        Some(term) => !["dumb", "unknown", "network", "dialup"].contains(&term),
    };
    // The first variable that is set applies. A locale without an encoding does not rule out UTF-8:
    // containers have none, or C.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(get).unwrap_or_default().to_lowercase();
    let encoding = locale.split_once('.').map(|(_, rest)| rest.split('@').next().unwrap_or(rest).replace('-', ""));
    moves && encoding.is_none_or(|encoding| encoding == "utf8")
}

/// Initialises the log, which RUST_LOG configures. By default only warnings are logged, except
/// those of drivers about themselves and those that result in an error anyway; with `verbose` = 1
/// also what halfwave does, and above that everything.
pub(super) fn init_log(verbose: u8) {
    let filter = match verbose {
        0 => "warn,wgpu_core=error,wgpu_hal=off,naga=error,halfwave::backend::gpu::adapter=off",
        1 => "warn,halfwave=info",
        _ => "info,halfwave=debug",
    };
    // An empty variable counts as none.
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = wanted.as_deref().unwrap_or(filter);
    let format = |out: &mut env_logger::fmt::Formatter, record: &log::Record<'_>| {
        let level = record.level().as_str().to_lowercase();
        let level = if level == "warn" { "warning" } else { &level };
        writeln!(out, "{level}: {}", record.args())
    };
    let target = env_logger::Target::Pipe(Box::new(Log));
    env_logger::Builder::new().parse_filters(filter).format(format).target(target).init();
}

/// Formats a number of steps: "1 step", "1,234 steps".
pub(super) fn steps(number: u64) -> String {
    format!("{} step{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Formats 1234567 as "1,234,567".
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats bytes in the largest unit that leaves a number of at least 1.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit = (0..3).find(|unit| bytes >> (10 * (unit + 1)) == 0).unwrap_or(3);
    let number = bytes as f64 / (1u64 << (10 * unit)) as f64;
    if number.fract() == 0.0 { format!("{number} {}", UNITS[unit]) } else { format!("{number:.1} {}", UNITS[unit]) }
}

/// Returns the width of the terminal, or `None` if the standard output is something else.
pub(super) fn width() -> Option<usize> {
    let size = io::stdout().is_terminal().then(ratatui::crossterm::terminal::size)?;
    size.ok().map(|(columns, _)| usize::from(columns)).filter(|&columns| columns > 0)
}

/// Formats lines of cells as [columns] that fit the terminal.
pub(super) fn table(align: &str, cells: &str) -> String {
    columns(align, cells, width())
}

/// Most characters of a class's name in a table.
const MOST_NAME: usize = 32;

/// Returns a class's name, truncated if it is long.
pub(super) fn short(name: &str) -> String {
    match name.char_indices().nth(MOST_NAME) {
        None => name.to_string(),
        Some(_) => name.chars().take(MOST_NAME - 1).chain(['…']).collect(),
    }
}

/// Formats a share as a percentage.
pub(super) fn percent(share: f32) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// Formats a loss with as many digits as are of interest; a large one, of a training that is about to
/// diverge, with an exponent.
pub(super) fn loss(loss: f64) -> String {
    if loss.abs() < 1e4 { format!("{loss:.4}") } else { format!("{loss:.2e}") }
}

/// Formats a duration.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_truncated() {
        for (name, shown) in [
            ("cat".to_string(), "cat".to_string()),
            ("ä".repeat(32), "ä".repeat(32)),
            ("ä".repeat(33), "ä".repeat(31) + "…"),
        ] {
            assert_eq!(short(&name), shown);
        }
    }

    #[test]
    fn lines_are_kept_in_order_and_an_endless_log_is_cut() {
        let mut held = Held::default();
        assert_eq!(held.last_note(), None);
        (0..NOTES + 5).for_each(|at| {
            held.push(Stream::Out, &format!("epoch {at}\n"));
            held.push(Stream::Err, &format!("warning: {at}\n\n"));
        });
        assert_eq!((held.notes, held.dropped, held.lines.len()), (NOTES, 5, 2 * NOTES + 5));
        assert_eq!(held.last_note(), Some(format!("warning: {}", NOTES + 4)));
        let lines = held.lines.iter().skip(4).take(3).map(|(_, text)| text.as_str());
        assert_eq!(lines.collect::<Vec<_>>(), ["epoch 4\n", "epoch 5\n", "warning: 5\n\n"]);
    }

    #[test]
    fn a_view_needs_a_terminal_that_says_what_it_is_and_takes_utf_8() {
        let of = |set: &[(&str, &str)]| {
            let get = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
            capable(get)
        };
        assert_eq!(of(&[]), cfg!(windows));
        for term in ["dumb", "unknown"] {
            assert!(!of(&[("TERM", term)]), "{term}");
        }
        for term in ["xterm-256color", "linux", "screen", "vt100", "tmux-256color"] {
            assert!(of(&[("TERM", term)]), "{term}");
        }
        let with = |set: &[(&str, &str)]| of(&[&[("TERM", "xterm")], set].concat());
        for locale in ["C", "POSIX", "C.UTF-8", "en_US.utf8", "de_DE", "sr_RS.UTF-8@latin"] {
            assert!(with(&[("LANG", locale)]), "{locale}");
        }
        assert!(!with(&[("LANG", "de_DE.ISO-8859-1")]) && !with(&[("LC_CTYPE", "ru_RU.KOI8-R"), ("LANG", "C.UTF-8")]));
        assert!(!with(&[("LANG", "de_DE.ISO-8859-15@euro")]));
        assert!(with(&[("LC_ALL", "C.UTF-8"), ("LANG", "ru_RU.KOI8-R")]));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1 << 20, 3 << 29, u64::MAX].map(bytes)[..4], ["0 B", "1023 B", "1 MiB", "1.5 GiB"]);
        assert_eq!([0.12345, 9999.5, 123_456.0].map(loss), ["0.1235", "9999.5000", "1.23e5"]);
        assert_eq!([0.25, 61.0, 3660.0].map(duration), ["0.2 s", "1 min 1 s", "1 h 1 min"]);
    }
}
