//! Optimisers: the update rule, its hyperparameters, and groups of parameters. [`super::update`]
//! converts them to nodes.

use crate::ops::Rule;
use crate::ops::rules::Sgd;
use crate::schema::{Keys, Numbers, Purpose, Setting, Tables, Visitor, above, key, optional};

/// An optimiser with its hyperparameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Optimizer {
    /// The initial learning rate of a schedule, above 0.
    pub lr: f32,
    /// The update rule.
    pub rule: Rule,
    /// At least 0. Applies only to weights of conv and linear layers, not to biases or batch-norm,
    /// unless a group overrides it.
    pub weight_decay: f32,
    /// Largest norm of all gradients together, above 0; gradients are scaled down to it, as in
    /// PyTorch's `clip_grad_norm_`.
    pub clip_norm: Option<f32>,
    /// Parameter groups with their own settings; the first group that contains a parameter applies.
    pub groups: Vec<Group>,
    /// Whether weights flip as several ranks have voted before the update (`exchange`). Not a setting of its own: a
    /// session sets it if the recipe says `train.ranks.flips` and there are ranks.
    pub voted: bool,
}

/// A group of parameters with its own settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// Pattern of parameter names as in PyTorch (`conv1.weight`, `bn1.bias`); `*` matches any
    /// characters.
    pub pattern: String,
    /// Factor of the learning rate, at least 0. Has no effect on Bop's binary weights.
    pub lr_scale: f32,
    /// Replaces the optimiser's weight decay, including for parameters that it does not apply to;
    /// `None` keeps the optimiser's.
    pub weight_decay: Option<f32>,
}

impl Group {
    /// Whether a parameter of this name belongs to the group.
    pub fn holds(&self, parameter: &str) -> bool {
        matches(&self.pattern, parameter)
    }
}

impl Keys for Optimizer {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        visitor.visit(key("kind", "the update rule; g is the gradient, t the step"), Setting::Kind(&mut self.rule));
        let rate = Numbers::new(above(0.0), "give a finite number above 0, such as 0.05");
        let lr = key("lr", "the learning rate, which a schedule starts from").required("0.05");
        visitor.visit(lr, Setting::Number(&mut self.lr, rate));
        self.rule.keys().keys(visitor);
        if visitor.purpose() != Purpose::Write {
            self.weight_decay = self.rule.decay();
        }
        let decay = key("weight_decay", "weight decay of conv and linear weights, not of biases or batch_norm");
        visitor.visit(decay, decay_of(&mut self.weight_decay));
        let norm = Numbers::new(above(0.0), "give a finite number above 0, or remove it");
        let clip_norm =
            key("clip_norm", "largest norm of all gradients together; larger gradients are scaled down to it");
        optional(visitor, clip_norm, &mut self.clip_norm, 1.0, |value| Setting::Number(value, norm));
        let groups = key("groups", "groups of parameters with their own settings; the first that matches applies");
        visitor.visit(groups, Setting::Tables(&mut self.groups));
    }
}

fn decay_of(decay: &mut f32) -> Setting<'_> {
    Setting::Number(decay, Numbers::new(0.0.., "give a finite number of at least 0, such as 5e-4"))
}

impl Keys for Group {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        let pattern = key("match", "pattern of parameter names, such as conv1.weight; `*` stands for any text");
        visitor.visit(pattern.required("\"*.bias\""), Setting::Text(&mut self.pattern));
        let scale = Numbers::new(0.0.., "give a finite number of at least 0, such as 0.1");
        let lr_scale = key("lr_scale", "factor of the learning rate");
        visitor.visit(lr_scale, Setting::Number(&mut self.lr_scale, scale));
        let decay = key("weight_decay", "weight decay of these parameters").by_default("the optimiser's");
        optional(visitor, decay, &mut self.weight_decay, 0.0, decay_of);
    }
}

impl Tables for Vec<Group> {
    fn count(&self) -> usize {
        self.len()
    }

    fn item(&mut self, at: usize) -> &mut dyn Keys {
        &mut self[at]
    }

    fn add(&mut self, _line: usize) -> &mut dyn Keys {
        self.push(Group { pattern: String::new(), lr_scale: 1.0, weight_decay: None });
        self.last_mut().expect("one was added")
    }
}

/// Whether `name` matches `pattern`, in which `*` stands for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(head) else { return false };
    tail.char_indices().any(|(i, _)| matches(rest, &tail[i..])) || matches(rest, "")
}

impl Optimizer {
    /// Creates an optimiser without weight decay, clipping or groups.
    pub fn new(lr: f32, rule: impl Into<Rule>) -> Self {
        let rule = rule.into();
        Self { lr, rule, weight_decay: 0.0, clip_norm: None, groups: Vec::new(), voted: false }
    }

    /// Creates SGD with momentum and weight decay.
    pub fn sgd(lr: f32, momentum: f32, weight_decay: f32) -> Self {
        Self { weight_decay, ..Self::new(lr, Sgd { momentum, nesterov: false }) }
    }

    /// Returns the name of its rule in a recipe.
    pub fn name(&self) -> &'static str {
        self.rule.name()
    }

    /// Returns the states kept for a parameter: [`UpdateRule::states`](crate::ops::rule::UpdateRule::states).
    pub fn states(&self, binary: bool) -> &'static [&'static str] {
        self.rule.states(binary)
    }

    /// Whether a weight is ±1 and flips; `binary` as in
    /// [`Weights::binary`](crate::model::Weights::binary).
    pub fn flips(&self, binary: bool) -> bool {
        binary && self.rule.flips()
    }

    /// Whether ranks vote on a weight's flips; `binary` as in [`Optimizer::flips`].
    pub fn votes(&self, binary: bool) -> bool {
        self.voted && self.flips(binary)
    }

    /// Whether a tensor of this name is optimiser state.
    pub fn owns(name: &str) -> bool {
        let states =
            |what: &str| Rule::all().iter().any(|rule| [false, true].iter().any(|&b| rule.states(b).contains(&what)));
        name.split_once('/').is_some_and(|(what, _)| states(what))
    }

    /// Returns the step's input "rates": lr, the rule's two corrections (1 − beta1^t and 1 −
    /// beta2^t, or 1), 0; `step` is t, counted from 1.
    pub fn rates(&self, lr: f32, step: u64) -> [f32; 4] {
        let [first, second] = self.rule.corrections(step);
        [lr, first, second, 0.0]
    }

    /// Returns the learning-rate factor and weight decay of a parameter; `weight` is set for those
    /// of conv and linear layers.
    pub(super) fn settings(&self, parameter: &str, weight: bool) -> (f32, f32) {
        let group = self.groups.iter().find(|group| group.holds(parameter));
        let decay = if weight { self.weight_decay } else { 0.0 };
        (group.map_or(1.0, |group| group.lr_scale), group.and_then(|group| group.weight_decay).unwrap_or(decay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::rules::Adam;

    #[test]
    fn patterns_match_whole_names() {
        let yes =
            [("*", ""), ("*", "fc.bias"), ("*.bias", "fc.bias"), ("bn*.weight", "bn12.weight"), ("a*b*c", "aXbYbc")];
        let no = [
            ("", "a"),
            ("bias", "fc.bias"),
            ("*.bias", "fc.bias2"),
            ("fc", "fc.bias"),
            ("a*b*c", "aXbYb"),
            ("a*a", "a"),
        ];
        for (pattern, name) in yes {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in no {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_group_counts_and_decay_is_for_weights() {
        let group = |pattern: &str, lr_scale, weight_decay| Group { pattern: pattern.into(), lr_scale, weight_decay };
        let mut optimizer = Optimizer::sgd(0.1, 0.9, 0.01);
        assert_eq!(optimizer.settings("fc.weight", true), (1.0, 0.01));
        assert_eq!(optimizer.settings("fc.bias", false), (1.0, 0.0));
        optimizer.groups = vec![group("fc.*", 2.0, None), group("*.bias", 3.0, Some(0.5))];
        assert_eq!(optimizer.settings("fc.weight", true), (2.0, 0.01));
        assert_eq!(optimizer.settings("fc.bias", false), (2.0, 0.0));
        assert_eq!(optimizer.settings("bn.bias", false), (3.0, 0.5));
    }

    #[test]
    fn rates_hold_the_corrections_of_the_step() {
        let adam = Optimizer::new(0.1, Adam::default());
        assert_eq!(adam.rates(0.05, 1), [0.05, 0.1, 0.001, 0.0]);
        assert_eq!(adam.rates(0.05, 3), [0.05, 0.271, (1.0 - 0.997_002_999_f64) as f32, 0.0]);
        assert_eq!(Optimizer::sgd(0.1, 0.9, 0.0).rates(0.05, 3), [0.05, 1.0, 1.0, 0.0]);
        assert!(Optimizer::owns("moment2/fc.bias") && !Optimizer::owns("init/fc.bias") && !Optimizer::owns("fc.bias"));
    }
}
