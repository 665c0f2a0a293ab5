//! Text for people. Unlike `println!`, nothing here panics when nobody reads any more.

use halfwave::{Error, Result};
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Prints what a command was asked for. That the reader has seen enough (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Prints a line about what goes on. Training does not end because nobody looks.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints `note: …` or `error: …` to stderr.
pub(super) fn complain(kind: &str, message: &dyn Display) {
    let _ = writeln!(std::io::stderr().lock(), "{kind}: {message}");
}

/// RUST_LOG decides what is logged; by default warnings, but not those of drivers about themselves, nor what ends up in an error anyway.
pub(super) fn init_log() {
    let filter = "warn,wgpu_core=error,wgpu_hal=off,naga=error,halfwave::backend::gpu::adapter=off";
    let env = env_logger::Env::default().default_filter_or(filter);
    let format = |out: &mut env_logger::fmt::Formatter, record: &log::Record<'_>| {
        let level = record.level().as_str().to_lowercase();
        let level = if level == "warn" { "warning" } else { &level };
        writeln!(out, "{level}: {}", record.args())
    };
    env_logger::Builder::from_env(env).format(format).init();
}

/// 1234567 as "1,234,567".
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

/// Bytes in the largest unit that leaves a number of at least 1.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit = (0..3).find(|unit| bytes >> (10 * (unit + 1)) == 0).unwrap_or(3);
    let number = bytes as f64 / (1u64 << (10 * unit)) as f64;
    if number.fract() == 0.0 { format!("{number} {}", UNITS[unit]) } else { format!("{number:.1} {}", UNITS[unit]) }
}

/// A share as per cent.
pub(super) fn percent(share: f32) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A time as people say it.
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
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1 << 20, 3 << 29, u64::MAX].map(bytes)[..4], ["0 B", "1023 B", "1 MiB", "1.5 GiB"]);
        assert_eq!([0.25, 61.0, 3660.0].map(duration), ["0.2 s", "1 min 1 s", "1 h 1 min"]);
    }
}
