//! `halfwave completions` and `halfwave man`: files for shells and manuals, generated from the
//! options themselves.

use super::Cli;
use super::terminal::{print, print_status};
use clap::CommandFactory;
use clap::builder::{Resettable, StyledStr};
use clap_complete::Shell;
use halfwave::{Error, Result, files};
use std::path::PathBuf;

/// Print the completions of commands and options for a shell.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  halfwave completions bash > ~/.local/share/bash-completion/completions/halfwave\n  halfwave completions zsh > ~/.zfunc/_halfwave\n  halfwave completions fish > ~/.config/fish/completions/halfwave.fish"
)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write the manual pages: one for the program and one for each command.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  halfwave man ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Folder for the pages, created if needed
    dir: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "halfwave", &mut text);
    print(&String::from_utf8_lossy(&text))
}

pub(super) fn man(args: &ManArgs) -> Result<()> {
    std::fs::create_dir_all(&args.dir).map_err(Error::io(&args.dir))?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<_> = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let pages = [("halfwave".to_string(), program)].into_iter().chain(commands.into_iter().map(|command| {
        let name = format!("halfwave-{}", command.get_name());
        (name.clone(), command.display_name(name.clone()).bin_name(name.replace('-', " ")))
    }));
    let mut count = 0;
    for (name, command) in pages {
        let mut text = Vec::new();
        let file = args.dir.join(format!("{name}.1"));
        let notes = command.get_after_help().map(notes).unwrap_or_default();
        let page = clap_mangen::Man::new(command.after_help(Resettable::Reset)).title(&name);
        page.render(&mut text).map_err(Error::io(&file))?;
        text.extend(notes.bytes());
        files::replace(&file, &text)?;
        count += 1;
    }
    print_status(&format!("{count} manual pages written to {}", args.dir.display()));
    Ok(())
}

/// Returns the text behind a command's options as the last section of its page. Indented lines, the
/// examples, stay lines; all others are filled.
fn notes(text: &StyledStr) -> String {
    let mut section = ".SH NOTES\n".to_string();
    let mut is_example = false;
    for line in text.to_string().lines() {
        if is_example != line.starts_with(' ') {
            is_example = !is_example;
            section += if is_example { ".nf\n" } else { ".fi\n" };
        }
        // A dot or a quote at its start would make the line a request, and an empty line ends a paragraph.
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        match line.as_str() {
            "" => section += ".PP\n",
            line if line.starts_with(['.', '\'']) => section += &format!("\\&{line}\n"),
            line => section += &format!("{line}\n"),
        }
    }
    if is_example { section + ".fi\n" } else { section }
}
