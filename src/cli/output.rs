//! Form and amount of a command's output: JSON, quiet, verbose, colours.

use super::terminal::{self, Status};
use clap::{ArgAction, Args, ColorChoice, ValueEnum};
use halfwave::Result;
use serde::Serialize;
use std::io::{IsTerminal, stderr};

/// How much is printed, and whether in colour; options of every command.
#[derive(Args)]
pub(super) struct OutputArgs {
    /// Print only results, warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,
    /// Print log messages; twice (-vv) for debugging
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = "Output")]
    verbose: u8,
    /// Use colours: on terminals unless NO_COLOR is set, always, or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl OutputArgs {
    /// Applies the options to everything that is printed from now on.
    pub(super) fn apply(&self) {
        if self.quiet {
            terminal::set_status(Status::Off);
        }
        terminal::set_color(match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                stderr().is_terminal() && terminal::is_capable() && !unwanted
            }
        });
        terminal::init_log(self.verbose);
    }
}

/// Returns the choice of `--color` for clap's own messages, which are printed before or instead of
/// parsing.
pub(super) fn clap_color() -> ColorChoice {
    let args: Vec<_> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let after = |at: usize| args.get(at + 1).map(String::as_str);
    let value = args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix("--color") {
        Some("") => after(at),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    match value {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// The result as JSON.
#[derive(Args, Default)]
pub(super) struct JsonArgs {
    /// Print the result as JSON to standard output, and everything else to standard error
    #[arg(long)]
    json: bool,
}

impl JsonArgs {
    /// Prepares the output: status lines go to standard error if the result is JSON. Call it before
    /// anything is printed.
    pub(super) fn begin(&self) -> bool {
        if self.json {
            terminal::divert_status();
        }
        self.json
    }

    /// Prints a result, as JSON or as this text.
    pub(super) fn print(&self, result: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if !self.json {
            return terminal::print(&text());
        }
        let json = serde_json::to_string_pretty(result).expect("a result is plain data");
        terminal::print(&(json + "\n"))
    }
}
