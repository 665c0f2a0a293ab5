//! Options that change any key of a recipe.

use halfwave::Result;
use halfwave::recipe::Source;

/// Changes of keys.
#[derive(Clone, Default, clap::Args)]
pub(super) struct SetArgs {
    /// Change a key of the recipe: train.optimizer.lr=0.1, data.dir=images, or 'layers.q*.bits=3'
    /// for every layer with such a name; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl SetArgs {
    /// Whether nothing is changed.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Adds the changes to a recipe's text.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is not a key with a value.
    pub(super) fn apply(&self, source: &mut Source) -> Result<()> {
        self.set.iter().try_for_each(|assignment| source.set(assignment))
    }

    /// The options, for a comment.
    pub(super) fn words(&self) -> impl Iterator<Item = String> {
        self.set.iter().map(|assignment| format!("--set {}", assignment.replace(char::is_control, " ")))
    }
}
