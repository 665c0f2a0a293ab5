//! `halfwave recipe`: the built-in recipes, to start from.

use super::terminal::print;
use halfwave::recipe::{BUILTIN, Recipe};
use halfwave::{Error, Result};

/// Print a built-in recipe, to start one of your own from.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  halfwave recipe digits > my.toml\n  halfwave train my.toml")]
pub(super) struct RecipeArgs {
    /// Its name; without one, the names are listed
    name: Option<String>,
    /// Print it in full: nothing extended, every default written out
    #[arg(long, requires = "name")]
    flat: bool,
}

pub(super) fn recipe(args: &RecipeArgs) -> Result<()> {
    let names = BUILTIN.map(|(name, _)| name);
    match &args.name {
        None => print(&(names.join("\n") + "\n")),
        Some(wanted) => match halfwave::recipe::builtin(wanted) {
            Some(text) if args.flat => print(&Recipe::parse(text, wanted)?.to_toml()),
            Some(text) => print(text),
            None => {
                Err(Error::Usage(format!("there is no built-in recipe \"{wanted}\"; there are: {}", names.join(", "))))
            }
        },
    }
}
