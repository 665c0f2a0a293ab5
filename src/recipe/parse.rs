//! Parses TOML text into a checked [`Recipe`].
use super::Recipe;
use super::read::{Given, Place, read};
use super::table::RecipeText;
use super::texts::Texts;
use crate::model::{Model, ModelError, Parameter};
use crate::pass::Optimizer;
use crate::{Error, Result};

/// Reads a recipe from its texts.
pub(super) fn recipe(texts: &Texts) -> Result<Recipe> {
    let (text, document) = (texts.source(), texts.merged()?);
    let place = Place { span: document.span(), what: "recipe".into(), path: String::new() };
    let (mut given, mut recipe) = (Given::new(), Recipe::start());
    read(&mut given, text, place, document.get_ref(), &mut recipe)?;
    recipe.check().map_err(|fault| fault.located(text, &given))?;
    Ok(recipe)
}

/// What is wrong with a recipe whose values are all within their ranges.
enum Fault {
    /// The value of a key, in a table with this name.
    Value(String, &'static str, String),
    /// What is wrong with a layer or with the model, and the layer's key.
    Layer(ModelError, &'static str),
    /// Anything else.
    Other(Error),
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        Self::Layer(error, "")
    }
}

impl Fault {
    fn value((table, key, why): (&str, &'static str, String)) -> Self {
        Self::Value(table.into(), key, why)
    }

    fn located(self, text: RecipeText<'_>, given: &Given<'_>) -> Error {
        match self {
            Self::Value(table, key, why) => {
                let (model, data) = (&given[&table], &given["data"]);
                // A set of this recipe does not fit the model of another one.
                if table == "model" && text.is_before(&data.span_of("set"), &model.span_of(key)) {
                    let why = format!("it does not fit the model: {why}");
                    return data.value_error("set", &why);
                }
                model.value_error(key, &why)
            }
            Self::Layer(ModelError { layer, message, classes }, key) => {
                let path = layer.map_or("model".to_string(), |layer| format!("model.layers.{layer}"));
                let (layer, model) = (&given[&path], &given["model"]);
                let place = layer.changed(layer.span_of(key));
                let changed = model.span_of(if classes { "classes" } else { "input" });
                // A layer of another recipe does not fit what this one says.
                if !text.is_before(&changed, &place) {
                    return text.error(&place, message);
                }
                let advice = match (classes, layer.text_of("name"), layer.text_of("kind")) {
                    (false, ..) => "this depends on model.input, which is given here".to_string(),
                    (true, Some(name), Some("linear")) => {
                        text.change_words(&changed, name, "units", model.written_of("classes"))
                    }
                    (true, ..) => "the number of classes is given here".to_string(),
                };
                text.error(&changed, format!("{message}; {advice}"))
            }
            Self::Other(error) => error,
        }
    }
}

impl Recipe {
    /// Checks what the schema cannot express: that values fit each other.
    fn check(&self) -> Result<(), Fault> {
        let Self { model, data, train } = self;
        for index in 0..model.layers.len() {
            model.sources(index).map_err(|error| Fault::Layer(error, "from"))?;
        }
        model.shapes()?;
        let refuse = |fault| Err(Fault::value(fault));
        data.fault().map_or(Ok(()), refuse)?;
        train.fault().map_or(Ok(()), |(key, why)| refuse(("train", key, why)))?;
        check_optimizer(&train.optimizer, model)?;
        train.ranks.fault(&train.optimizer).map_or(Ok(()), |(key, why)| refuse(("train.ranks", key, why)))?;
        train.schedule.fault(train.length).map_or(Ok(()), |(key, why)| refuse(("train.schedule", key, why)))?;
        data.model_fault(model).map_or(Ok(()), refuse)?;
        // Every epoch needs a batch, and every batch a variance.
        let fault = data.train_len().map(|train_len| self.batch_fault(train_len)).transpose().map_err(Fault::Other)?;
        fault.flatten().map_or(Ok(()), |why| refuse(("train", "batch", why)))
    }
}

fn check_optimizer(optimizer: &Optimizer, model: &Model) -> Result<(), Fault> {
    const TABLE: &str = "train.optimizer";
    let refuse = |key, why: &str| Err(Fault::Value(TABLE.into(), key, why.into()));
    optimizer.rule.check().or_else(|(key, why)| refuse(key, why))?;
    let parameters = model.parameters()?;
    if optimizer.rule.flips() && !parameters.iter().any(Parameter::binary) {
        return refuse("kind", "it flips binary weights, and the model has none; use \"adam\"");
    }
    let names = |of: &dyn Fn(&Parameter) -> bool| -> Vec<String> {
        let chosen = parameters.iter().filter(|parameter| of(parameter));
        chosen.flat_map(|parameter| parameter.host()).map(|(name, _)| name).collect()
    };
    let mut left = names(&Parameter::trained);
    // Binary weights that flip have no learning rate.
    let flipped = names(&|parameter| optimizer.flips(parameter.binary()));
    let all = left.join(", ");
    for (at, group) in optimizer.groups.iter().enumerate() {
        let refuse = |key, why| Err(Fault::Value(format!("{TABLE}.groups.{at}"), key, why));
        let idle = left.iter().find(|name| group.holds(name) && flipped.contains(name));
        let keys = [("lr_scale", group.lr_scale != 1.0), ("weight_decay", group.weight_decay.is_some())];
        if let (Some(name), Some((key, _))) = (idle, keys.iter().find(|(_, given)| *given)) {
            let why = "without a learning rate or weight decay; exclude it from match, or remove this";
            return refuse(key, format!("{} flips {name} {why}", optimizer.name()));
        }
        let before = left.len();
        left.retain(|name| !group.holds(name));
        if left.len() == before {
            let why = format!("no parameter has such a name, or earlier groups match them all; there are {all}");
            return refuse("match", why);
        }
    }
    Ok(())
}
