//! What an optimiser is told: its rule, its numbers, its groups of parameters. [`super::update`] makes nodes of it.
//!
//! State is named `<what>/<parameter>`: `velocity/…` (SGD), `moment1/…`, `moment2/…` (Adam, AdamW), `momentum/…` (Bop).

/// What states there are.
const STATES: [&str; 4] = ["velocity", "moment1", "moment2", "momentum"];

/// How gradients change the weights.
#[derive(Clone, PartialEq, Debug)]
pub struct Optimizer {
    /// The learning rate that a schedule begins with, above 0.
    pub lr: f32,
    /// By which formulas.
    pub rule: Rule,
    /// At least 0. On weights of conv and linear layers only, not on biases or batch-norm, unless a group says otherwise.
    pub weight_decay: f32,
    /// The norm that all gradients may have together, above 0; they are scaled down to it. As PyTorch's `clip_grad_norm_`.
    pub clip_norm: Option<f32>,
    /// Parameters that are treated differently; the first group that a parameter belongs to counts.
    pub groups: Vec<Group>,
}

/// By which formulas weights change: g is the gradient, t the step, counted from 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// PyTorch's `SGD`: g ← g + weight_decay·w; v ← momentum·v + g; w ← w − lr·v, or with `nesterov` w ← w − lr·(g + momentum·v).
    Sgd {
        /// In [0, 1).
        momentum: f32,
        /// Whether the gradient looks one step ahead.
        nesterov: bool,
    },
    /// PyTorch's `Adam`: g ← g + weight_decay·w, then [`Moments`].
    Adam(Moments),
    /// PyTorch's `AdamW`: w ← w·(1 − lr·weight_decay), then [`Moments`].
    AdamW(Moments),
    /// Bop (Helwegen et al., 2019) for binary weights, which are ±1 and have no latent ones: m ← (1 − gamma)·m + gamma·g, and w flips where |m| > threshold and m
    /// has w's sign. Every other parameter follows `Adam`.
    Bop {
        /// Of the other parameters.
        moments: Moments,
        /// How fast old gradients are forgotten, in (0, 1].
        gamma: f64,
        /// τ, at least 0.
        threshold: f32,
    },
}

/// m ← beta1·m + (1 − beta1)·g; v ← beta2·v + (1 − beta2)·g²; w ← w − lr·m̂/(√v̂ + eps), with m̂ = m/(1 − beta1^t), v̂ = v/(1 − beta2^t).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moments {
    /// In [0, 1). In double precision, for 1 − beta is what counts.
    pub beta1: f64,
    /// In [0, 1).
    pub beta2: f64,
    /// Above 0.
    pub eps: f32,
}

impl Default for Moments {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

/// Parameters that are treated differently.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// Which: a parameter's name as PyTorch writes it (`conv1.weight`, `bn1.bias`); `*` stands for any characters.
    pub pattern: String,
    /// Factor of the learning rate, at least 0. Bop's binary weights have none.
    pub lr_scale: f32,
    /// In place of the optimiser's, also where that would not act; `None` leaves it as it is.
    pub weight_decay: Option<f32>,
}

impl Group {
    /// Whether a parameter of this name belongs to it.
    pub fn holds(&self, parameter: &str) -> bool {
        matches(&self.pattern, parameter)
    }
}

/// Whether `name` is like `pattern`, in which `*` stands for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(head) else { return false };
    tail.char_indices().any(|(i, _)| matches(rest, &tail[i..])) || matches(rest, "")
}

impl Optimizer {
    /// An optimiser without weight decay, clipping and groups.
    pub fn new(lr: f32, rule: Rule) -> Self {
        Self { lr, rule, weight_decay: 0.0, clip_norm: None, groups: Vec::new() }
    }

    /// SGD with momentum and weight decay.
    pub fn sgd(lr: f32, momentum: f32, weight_decay: f32) -> Self {
        Self { weight_decay, ..Self::new(lr, Rule::Sgd { momentum, nesterov: false }) }
    }

    /// The word that a recipe uses for it.
    pub fn name(&self) -> &'static str {
        match self.rule {
            Rule::Sgd { .. } => "sgd",
            Rule::Adam(_) => "adam",
            Rule::AdamW(_) => "adamw",
            Rule::Bop { .. } => "bop",
        }
    }

    /// Whether a weight, `binary` as [`Weights::binary`](crate::model::Weights::binary) says, is ±1 and flips.
    pub fn flips(&self, binary: bool) -> bool {
        binary && matches!(self.rule, Rule::Bop { .. })
    }

    /// What is kept of a parameter, `binary` as [`Weights::binary`](crate::model::Weights::binary) says: the first parts of the states' names.
    pub fn states(&self, binary: bool) -> &'static [&'static str] {
        match self.rule {
            Rule::Sgd { .. } => &["velocity"],
            Rule::Bop { .. } if binary => &["momentum"],
            Rule::Adam(_) | Rule::AdamW(_) | Rule::Bop { .. } => &["moment1", "moment2"],
        }
    }

    /// Whether a tensor of this name is the state of an optimiser.
    pub fn owns(name: &str) -> bool {
        name.split_once('/').is_some_and(|(what, _)| STATES.contains(&what))
    }

    /// The step's input "rates": lr, 1 − beta1^t, 1 − beta2^t, 0, where `step` is t, counted from 1. Without moments the corrections are 1.
    pub fn rates(&self, lr: f32, step: u64) -> [f32; 4] {
        let correction = |beta: f64| (1.0 - libm::pow(beta, step as f64)) as f32;
        match self.rule {
            Rule::Sgd { .. } => [lr, 1.0, 1.0, 0.0],
            Rule::Adam(moments) | Rule::AdamW(moments) | Rule::Bop { moments, .. } => {
                [lr, correction(moments.beta1), correction(moments.beta2), 0.0]
            }
        }
    }

    /// Scale of the learning rate and weight decay of a parameter; `weight` where it is one of a conv or linear layer.
    pub(super) fn settings(&self, parameter: &str, weight: bool) -> (f32, f32) {
        let group = self.groups.iter().find(|group| group.holds(parameter));
        let decay = if weight { self.weight_decay } else { 0.0 };
        (group.map_or(1.0, |group| group.lr_scale), group.and_then(|group| group.weight_decay).unwrap_or(decay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let adam = Optimizer::new(0.1, Rule::Adam(Moments::default()));
        assert_eq!(adam.rates(0.05, 1), [0.05, 0.1, 0.001, 0.0]);
        assert_eq!(adam.rates(0.05, 3), [0.05, 0.271, (1.0 - 0.997_002_999_f64) as f32, 0.0]);
        assert_eq!(Optimizer::sgd(0.1, 0.9, 0.0).rates(0.05, 3), [0.05, 1.0, 1.0, 0.0]);
        assert!(Optimizer::owns("moment2/fc.bias") && !Optimizer::owns("init/fc.bias") && !Optimizer::owns("fc.bias"));
    }
}
