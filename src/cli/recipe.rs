//! `halfwave recipe`: prints the built-in recipes.

use super::terminal::print;
use halfwave::recipe::{BUILTIN, Recipe};
use halfwave::{Error, Result};

/// Print a built-in recipe, as a starting point for your own.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  halfwave recipe digits > my.toml\n  halfwave train my.toml")]
pub(super) struct RecipeArgs {
    /// Name of the recipe; without a name, all are listed
    name: Option<String>,
    /// Print the resolved recipe: no `extends`, and every default written out
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
