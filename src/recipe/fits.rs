//! Whether images fit a recipe.
use super::Recipe;
use crate::data::{Dataset, Split, Validation};
use crate::{Error, Result};

impl Dataset {
    /// Checks that `recipe` can be trained on these images. Images loaded for the recipe pass,
    /// except for the number of images, which a recipe on a folder or on IDX files does not
    /// determine.
    ///
    /// # Errors
    ///
    /// Returns an error if the set, shape or number of classes differs from the recipe's; if these
    /// are not the images that its `[data]` selects; if its `patience` has no validation images to
    /// judge by; or if the images cannot fill batches as required.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        let wrong = |message: String| Err(Error::Data(format!("{}: {message}", self.name)));
        let Recipe { model, data, .. } = recipe;
        let (set, shape, wanted) = (data.set.name(), self.shape(), data.set.source());
        if set != self.name {
            return wrong(format!("the recipe asks for {set}; write set = \"{}\" in its [data]", self.name));
        }
        if shape != wanted {
            return wrong(match wanted == model.input {
                true => format!("images of {shape:?}, but model.input = {wanted:?} (channels, height, width)"),
                false => {
                    format!("images of {shape:?}, but data.resize asks for {wanted:?} (channels, height, width)")
                }
            });
        }
        crate::data::same_classes(&self.class_names, model.classes).or_else(wrong)?;
        let most = |limit: Option<usize>| limit.unwrap_or(usize::MAX);
        let held_out_len = self.validation.as_ref().map_or(0, Split::len);
        // A set's own validation images are not part of its training images.
        let drawn_len = if data.may_keep_own() { 0 } else { held_out_len };
        let whole_len = self.train.len() + drawn_len;
        if self.train.input != model.input
            || !(data.may_keep_own() || self.holds_out(drawn_len, data.shares(whole_len)[1], data.validation))
            || whole_len > most(data.limit)
            || self.test.len() > most(data.test_limit)
        {
            return wrong(
                "these are not the images that the recipe's [data] selects; select them with Dataset::divided"
                    .to_string(),
            );
        }
        if recipe.train.patience > 0 && self.validation.is_none() {
            return wrong(
                "train.patience needs validation images to judge by; write validation = \"auto\" in [data], or patience = 0"
                    .to_string(),
            );
        }
        recipe.batch_fault(self.train.len())?.map_or(Ok(()), |fault| wrong(format!("train.batch: {fault}")))
    }

    /// Whether holding out `drawn` images is right where `most` are asked for: [`Validation::Auto`] takes
    /// fewer if a class would have none left.
    fn holds_out(&self, drawn: usize, most: usize, validation: Validation) -> bool {
        let count = |class: usize| self.train.labels.iter().filter(|&&label| usize::from(label) == class).count();
        drawn == most
            || drawn < most && validation == Validation::Auto && (0..self.classes).any(|class| count(class) == 1)
    }
}
