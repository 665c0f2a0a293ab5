//! Initial weights of a model, found among the tensors of a file that any tool may have written.

use super::checkpoint::MEAN_IMAGE;
use super::stored::{HostTensor, Stored};
use crate::error::{Error, Result};
use crate::model::{Model, Parameter};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Prefix of the names of initial values in a file that holds more of a run.
const INIT: &str = "init/";
/// Number of names that a message lists.
const LISTED: usize = 4;

/// Initial weights of a model.
#[derive(Debug)]
pub struct Start {
    /// Tensors by the model's names.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Tensors of the file that look like weights, but are not part of the model.
    pub unused: Vec<String>,
}

impl Start {
    /// Finds a model's tensors in the bytes of a safetensors file: under their own names, under
    /// `init/<name>`, or all of them after one prefix such as `module.` or `_orig_mod.`, which
    /// wrappers of PyTorch's modules prepend. Other tensors are ignored, whatever their type.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is of another kind or truncated, or if tensors are missing, of
    /// another shape, of a type that cannot be converted, or hold values that are not finite.
    pub fn read(bytes: &[u8], path: &Path, model: &Model) -> Result<Self> {
        let stored = Stored::open(bytes, path)?;
        let bad = |error| match error {
            Error::Model(message) => Error::Checkpoint { path: path.to_path_buf(), message },
            other => other,
        };
        let (names, parameters) = (stored.names(), model.parameters()?);
        let prefix = prefix(&names, &parameters).map_err(bad)?;
        let mut tensors = BTreeMap::new();
        let wanted: Vec<_> = parameters.iter().flat_map(Parameter::host).map(|(name, _)| name).collect();
        for name in &wanted {
            if let Some(tensor) = stored.tensor(&format!("{prefix}{name}"))? {
                tensors.insert(name.clone(), tensor);
            }
        }
        for parameter in &parameters {
            parameter.find(prefix, |name| tensors.get(&name[prefix.len()..]).cloned()).map_err(bad)?;
        }
        let used: BTreeSet<_> = wanted.iter().map(|name| format!("{prefix}{name}")).collect();
        // The remaining names except other parts of a run and PyTorch's count of batches.
        let weights = |name: &str| {
            !name.contains('/') && name != MEAN_IMAGE && !name.ends_with("num_batches_tracked") && !used.contains(name)
        };
        let unused =
            if prefix == INIT { Vec::new() } else { names.iter().copied().filter(|name| weights(name)).collect() };
        Ok(Self { tensors, unused: unused.into_iter().map(String::from).collect() })
    }
}

/// The prefix of the names of a model's trained tensors in a collection of names.
///
/// # Errors
///
/// Returns an error if some of them are missing, or all of them exist under several prefixes.
pub(super) fn prefix<'a>(names: &[&'a str], parameters: &[Parameter]) -> Result<&'a str> {
    let trained = parameters.iter().filter(|parameter| parameter.trained()).flat_map(Parameter::host);
    let wanted: BTreeSet<String> = trained.map(|(name, _)| name).collect();
    // Other names with a slash are the optimiser's state and further parts of a run.
    let dumped = names.iter().any(|name| name.starts_with(INIT));
    let mut found = BTreeMap::from([("", BTreeSet::new())]);
    for &name in names.iter().filter(|name| if dumped { name.starts_with(INIT) } else { !name.contains('/') }) {
        let ends = name.char_indices().filter(|(_, c)| matches!(c, '.' | '/')).map(|(at, _)| at + 1);
        for at in [0].into_iter().chain(ends).filter(|&at| wanted.contains(&name[at..])) {
            found.entry(&name[..at]).or_default().insert(&name[at..]);
        }
    }
    let complete: Vec<_> =
        found.iter().filter(|(_, held)| held.len() == wanted.len()).map(|(prefix, _)| *prefix).collect();
    match &complete[..] {
        // Names without a prefix take precedence: "" sorts first.
        ["", ..] => return Ok(""),
        [one] => return Ok(one),
        [] => {}
        several => {
            return Err(Error::Model(format!(
                "the model's tensors are present {} times, with the prefixes {}; save one set to a separate file",
                several.len(),
                listed(several.iter().copied())
            )));
        }
    }
    let (prefix, held) =
        found.iter().max_by_key(|(prefix, held)| (held.len(), std::cmp::Reverse(*prefix))).expect("\"\" is there");
    let missing: Vec<String> =
        wanted.iter().filter(|name| !held.contains(name.as_str())).map(|name| format!("{prefix}{name}")).collect();
    // The statistics of batch-norms are part of the model too, though not trained.
    let own: BTreeSet<String> = parameters.iter().flat_map(Parameter::host).map(|(name, _)| name).collect();
    let others = names.iter().copied().filter(|name| !name.strip_prefix(prefix).is_some_and(|name| own.contains(name)));
    let instead: Vec<_> = others.filter(|name| !name.contains('/') && !name.ends_with("num_batches_tracked")).collect();
    let instead =
        if instead.is_empty() { String::new() } else { format!("; it has {} instead", listed(instead.into_iter())) };
    Err(Error::Model(format!(
        "of the model's {} tensors {} missing: {}{instead}; rename the file's tensors to match the recipe's layers, or the layers to match the file",
        wanted.len(),
        if missing.len() == 1 { "one is".to_string() } else { format!("{} are", missing.len()) },
        listed(missing.iter().map(String::as_str))
    )))
}

/// The first few names, and how many more there are.
pub(super) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let first: Vec<_> = names.take(LISTED).collect();
    first.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;
    use crate::train::stored::to_bytes;

    const FLOAT: &str = "[model]\ninput = [1, 8, 8]\nclasses = 10\n[[model.layers]]\nname = \"fc\"\nkind = \"linear\"\nunits = 10\n[[model.layers]]\nname = \"bn\"\nkind = \"batch_norm\"\n[data]\nset = \"digits\"\n[train]\nbatch = 8\nepochs = 1\n[train.optimizer]\nkind = \"sgd\"\nlr = 0.1\n";

    /// Tensors of the model, all of this value, with a prefix before their names.
    fn tensors(prefix: &str, value: f32) -> BTreeMap<String, HostTensor> {
        let model = Recipe::parse(FLOAT, "test").unwrap().model;
        let parts = model.parameters().unwrap().iter().flat_map(Parameter::host).collect::<Vec<_>>();
        let filled = |shape: Vec<usize>| HostTensor { values: vec![value; shape.iter().product()], shape };
        parts.into_iter().map(|(name, shape)| (format!("{prefix}{name}"), filled(shape))).collect()
    }

    fn read(tensors: &BTreeMap<String, HostTensor>) -> Result<Start> {
        let model = Recipe::parse(FLOAT, "test").unwrap().model;
        Start::read(&to_bytes(tensors, None), Path::new("w.safetensors"), &model)
    }

    #[test]
    fn names_are_found_behind_a_prefix() {
        let plain = tensors("", 0.5);
        for before in ["", "init/", "module.", "_orig_mod.", "model.", "_orig_mod.module.", "net.fc."] {
            let start = read(&tensors(before, 0.5)).unwrap();
            assert_eq!((start.tensors, start.unused.len()), (plain.clone(), 0), "{before}");
        }
        // Plain names take precedence over prefixed ones, and the names of a dump over both.
        let both = |other| plain.clone().into_iter().chain(tensors(other, 2.0)).collect();
        let start = read(&both("module.")).unwrap();
        assert_eq!((start.tensors, start.unused.len()), (plain.clone(), 6));
        let start = read(&both("init/")).unwrap();
        assert_eq!((start.tensors, start.unused.len()), (tensors("", 2.0), 0));
        // Other parts of a run are ignored without being reported as unused.
        let state = ["velocity/", "signs/", "grad/"].into_iter().flat_map(|before| tensors(before, 3.0));
        let start = read(&plain.clone().into_iter().chain(state).collect()).unwrap();
        assert_eq!((start.tensors, start.unused.len()), (plain, 0));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |change: &dyn Fn(&mut BTreeMap<String, HostTensor>)| {
            let mut changed = tensors("module.", 0.5);
            change(&mut changed);
            read(&changed).unwrap_err().to_string()
        };
        let renamed = message(&|t| {
            let weight = t.remove("module.fc.weight").unwrap();
            t.insert("module.head.weight".into(), weight);
        });
        let expected =
            "w.safetensors: of the model's 4 tensors one is missing: module.fc.weight; it has module.head.weight";
        assert!(renamed.starts_with(expected), "{renamed}");
        let twice = message(&|t| t.extend(tensors("ema.", 0.5)));
        assert!(twice.contains("2 times, with the prefixes ema., module."), "{twice}");
        let none =
            message(&|t| *t = BTreeMap::from([("a".to_string(), HostTensor { shape: vec![0], values: vec![] })]));
        assert!(none.contains("tensors 4 are missing: bn.bias, bn.weight, fc.bias, fc.weight; it has a"), "{none}");
        assert!(message(&|t| t.clear()).contains("fc.weight; rename"));
        let shape = message(&|t| t.get_mut("module.fc.weight").unwrap().shape = vec![64, 10]);
        assert!(shape.contains("module.fc.weight has the shape [64, 10], but the model's has [10, 64]"), "{shape}");
        let nan = message(&|t| t.get_mut("module.bn.running_var").unwrap().values[9] = f32::NAN);
        assert!(nan.contains("module.bn.running_var holds NaN (value 9 of 10)"), "{nan}");
        let half = message(&|t| drop(t.remove("module.bn.running_mean")));
        assert!(half.contains("module.bn.running_mean is missing"), "{half}");
        // All statistics of a batch-norm may be missing: they keep their initial values.
        let mut without = tensors("", 0.5);
        without.retain(|name, _| !name.contains("running"));
        assert_eq!(read(&without).unwrap().tensors.len(), 4);
    }
}
