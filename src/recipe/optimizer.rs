//! `[train.optimizer]` and its groups: how gradients change the weights.

use super::table::Table;
use super::write::Toml;
use crate::Result;
use crate::model::{Model, Parameter};
use crate::pass::{Group, Moments, Optimizer, Rule};

/// Keys of every kind.
const COMMON: [&str; 4] = ["lr", "weight_decay", "clip_norm", "groups"];

/// Every kind with its own keys.
const KINDS: [(&str, &[&str]); 4] = [
    ("sgd", &["momentum", "nesterov"]),
    ("adam", &["beta1", "beta2", "eps"]),
    ("adamw", &["beta1", "beta2", "eps"]),
    ("bop", &["gamma", "threshold", "beta1", "beta2", "eps"]),
];

/// The smallest ε: what is smaller may be 0 to a GPU.
const LEAST_EPS: f32 = 1e-30;

/// What PyTorch's AdamW begins with.
const ADAMW_DECAY: f32 = 0.01;

/// Bop's own numbers (Helwegen et al., 2019, section 5.1).
const BOP: (f64, f32) = (1e-4, 1e-8);

/// Reads `[train.optimizer]` of a recipe with this model.
pub(super) fn read(train: &Table<'_>, model: &Model) -> Result<Optimizer> {
    let missing = || train.error(train.line, "[train.optimizer] is missing; add it with kind and lr");
    let (table, kind) = train.kinds("optimizer", "[train.optimizer]", &COMMON, &KINDS)?.ok_or_else(missing)?;
    let lr = table.number("lr", |v| v > 0.0, "give a finite number above 0, such as 0.05")?;
    let lr = table.required("lr", lr, "0.05")?;
    let rule = match kind {
        "sgd" => {
            let momentum = table.number(
                "momentum",
                |v| (0.0..1.0).contains(&v),
                "give a number from 0 to below 1, such as 0.9",
            )?;
            let (momentum, nesterov) = (momentum.unwrap_or(0.0), table.flag("nesterov")?.unwrap_or(false));
            if nesterov && momentum == 0.0 {
                return Err(table.bad("nesterov", "it is a kind of momentum; give one, such as momentum = 0.9"));
            }
            Rule::Sgd { momentum, nesterov }
        }
        "adam" => Rule::Adam(moments(&table)?),
        "adamw" => Rule::AdamW(moments(&table)?),
        "bop" => {
            let gamma = table.real("gamma", |v| v > 0.0 && v <= 1.0, "give a number above 0, up to 1, such as 1e-4")?;
            let threshold =
                table.number("threshold", |v| v >= 0.0, "give a finite number of at least 0, such as 1e-8")?;
            Rule::Bop {
                moments: moments(&table)?,
                gamma: gamma.unwrap_or(BOP.0),
                threshold: threshold.unwrap_or(BOP.1),
            }
        }
        _ => unreachable!("every kind of the list is read"),
    };
    let parameters = model.parameters()?;
    if kind == "bop" && !parameters.iter().any(Parameter::binary) {
        return Err(table.bad("kind", "it flips binary weights, and the model has none; use \"adam\""));
    }
    let decay = decay(&table)?.unwrap_or(if kind == "adamw" { ADAMW_DECAY } else { 0.0 });
    let clip_norm = table.number("clip_norm", |v| v > 0.0, "give a finite number above 0, or remove it")?;
    let trained = parameters.iter().filter(|parameter| parameter.trained());
    let names: Vec<_> = trained.flat_map(|parameter| parameter.host()).map(|(name, _)| name).collect();
    Ok(Optimizer { lr, rule, weight_decay: decay, clip_norm, groups: groups(&table, names)? })
}

fn decay(table: &Table<'_>) -> Result<Option<f32>> {
    table.number("weight_decay", |v| v >= 0.0, "give a finite number of at least 0, such as 5e-4")
}

fn moments(table: &Table<'_>) -> Result<Moments> {
    let defaults = Moments::default();
    let beta = |key| table.real(key, |v| (0.0..1.0).contains(&v), "give a number from 0 to below 1, such as 0.9");
    let eps = table.number("eps", |v| v >= LEAST_EPS, "give a small number of at least 1e-30, such as 1e-8")?;
    Ok(Moments {
        beta1: beta("beta1")?.unwrap_or(defaults.beta1),
        beta2: beta("beta2")?.unwrap_or(defaults.beta2),
        eps: eps.unwrap_or(defaults.eps),
    })
}

/// The groups; `left` are the names of all trained parameters.
fn groups(optimizer: &Table<'_>, mut left: Vec<String>) -> Result<Vec<Group>> {
    let (all, mut groups) = (left.join(", "), Vec::new());
    for table in optimizer.list("groups", "[[train.optimizer.groups]]", &["match", "lr_scale", "weight_decay"])? {
        let pattern = table.required("match", table.string("match")?, "\"*.bias\"")?.to_owned();
        let lr_scale = table.number("lr_scale", |v| v >= 0.0, "give a finite number of at least 0, such as 0.1")?;
        let group = Group { pattern, lr_scale: lr_scale.unwrap_or(1.0), weight_decay: decay(&table)? };
        let before = left.len();
        left.retain(|name| !group.holds(name));
        if left.len() == before {
            let message = format!("no parameter is called so, or earlier groups have them all; there are {all}");
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
    match optimizer.rule {
        Rule::Sgd { momentum, nesterov } => {
            toml.float("momentum", momentum);
            toml.line("nesterov", nesterov);
        }
        Rule::Adam(moments) | Rule::AdamW(moments) => write_moments(toml, moments),
        Rule::Bop { moments, gamma, threshold } => {
            toml.line("gamma", format!("{gamma:?}"));
            toml.float("threshold", threshold);
            write_moments(toml, moments);
        }
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

fn write_moments(toml: &mut Toml, Moments { beta1, beta2, eps }: Moments) {
    toml.line("beta1", format!("{beta1:?}"));
    toml.line("beta2", format!("{beta2:?}"));
    toml.float("eps", eps);
}
