//! `[train.optimizer]` and its groups: the optimiser's settings.

use super::layers;
use super::table::Table;
use super::write::Toml;
use crate::Result;
use crate::model::keys;
use crate::model::{Model, Parameter};
use crate::pass::{Group, Optimizer, Rule};

/// Keys of every kind.
const COMMON: [&str; 5] = ["kind", "lr", "weight_decay", "clip_norm", "groups"];

/// Reads `[train.optimizer]` of a recipe with this model.
pub(super) fn read(train: &Table<'_>, model: &Model) -> Result<Optimizer> {
    let missing = || train.error(train.line, "[train.optimizer] is missing; add it with kind and lr");
    let kinds: Vec<_> = Rule::all().into_iter().map(|mut rule| (rule.name(), keys::names(rule.keys()))).collect();
    let kinds: Vec<_> = kinds.iter().map(|(name, keys)| (*name, &keys[..])).collect();
    let (table, kind) = train.kinds("optimizer", "[train.optimizer]", &COMMON[1..], &kinds)?.ok_or_else(missing)?;
    let lr = table.number("lr", |v| v > 0.0, "give a finite number above 0, such as 0.05")?;
    let lr = table.required("lr", lr, "0.05")?;
    let mut rule = Rule::all().into_iter().find(|rule| rule.name() == kind).expect("a kind of the list");
    layers::read(&table, rule.keys(), &COMMON, "optimizer")?;
    rule.check().map_err(|(key, message)| table.bad(key, message))?;
    let parameters = model.parameters()?;
    if rule.flips() && !parameters.iter().any(Parameter::binary) {
        return Err(table.bad("kind", "it flips binary weights, and the model has none; use \"adam\""));
    }
    let decay = decay(&table)?.unwrap_or(rule.decay());
    let clip_norm = table.number("clip_norm", |v| v > 0.0, "give a finite number above 0, or remove it")?;
    let trained = parameters.iter().filter(|parameter| parameter.trained());
    let names: Vec<_> = trained.flat_map(|parameter| parameter.host()).map(|(name, _)| name).collect();
    let flipped = parameters.iter().filter(|parameter| rule.flips() && parameter.binary());
    let flipped: Vec<_> = flipped.flat_map(|parameter| parameter.host()).map(|(name, _)| name).collect();
    Ok(Optimizer { lr, rule, weight_decay: decay, clip_norm, groups: groups(&table, names, &flipped)? })
}

fn decay(table: &Table<'_>) -> Result<Option<f32>> {
    table.number("weight_decay", |v| v >= 0.0, "give a finite number of at least 0, such as 5e-4")
}

/// The groups; `left` are the names of all trained parameters, `flipped` those of binary weights
/// that have no learning rate.
fn groups(optimizer: &Table<'_>, mut left: Vec<String>, flipped: &[String]) -> Result<Vec<Group>> {
    let (all, mut groups) = (left.join(", "), Vec::new());
    for table in optimizer.list("groups", "[[train.optimizer.groups]]", &["match", "lr_scale", "weight_decay"])? {
        let pattern = table.required("match", table.string("match")?, "\"*.bias\"")?.to_owned();
        let lr_scale = table.number("lr_scale", |v| v >= 0.0, "give a finite number of at least 0, such as 0.1")?;
        let group = Group { pattern, lr_scale: lr_scale.unwrap_or(1.0), weight_decay: decay(&table)? };
        let idle = left.iter().find(|name| group.holds(name) && flipped.contains(name));
        let keys = [("lr_scale", group.lr_scale != 1.0), ("weight_decay", group.weight_decay.is_some())];
        if let (Some(name), Some((key, _))) = (idle, keys.iter().find(|(_, given)| *given)) {
            let message = format!(
                "bop flips {name} without a learning rate or weight decay; exclude it from match, or remove this"
            );
            return Err(table.bad(key, &message));
        }
        let before = left.len();
        left.retain(|name| !group.holds(name));
        if left.len() == before {
            let message = format!("no parameter has such a name, or earlier groups match them all; there are {all}");
            return Err(table.bad("match", &message));
        }
        groups.push(group);
    }
    Ok(groups)
}

/// Writes `[train.optimizer]` and its groups.
pub(super) fn write(toml: &mut Toml, optimizer: &Optimizer) {
    toml.heading("[train.optimizer]");
    toml.word("kind", optimizer.name());
    toml.float("lr", optimizer.lr);
    for keys::Entry { key, value, .. } in keys::write({ optimizer.rule }.keys()) {
        toml.line(key.name, value);
    }
    toml.float("weight_decay", optimizer.weight_decay);
    if let Some(norm) = optimizer.clip_norm {
        toml.float("clip_norm", norm);
    }
    for group in &optimizer.groups {
        toml.heading("[[train.optimizer.groups]]");
        toml.word("match", &group.pattern);
        toml.float("lr_scale", group.lr_scale);
        if let Some(decay) = group.weight_decay {
            toml.float("weight_decay", decay);
        }
    }
}
