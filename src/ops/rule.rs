//! Update rules of optimisers. A rule is one file: its hyperparameters with their keys, its states,
//! and the operations that it appends for one parameter, with their kernels ([`super::update`]).
//! The lists are at the end of [`super`].
//!
//! Nodes that process quads are merged into few launches. State is named `<what>/<parameter>`:
//! `velocity/…` (SGD), `moment1/…`, `moment2/…` (Adam, AdamW), `momentum/…` (Bop, Lion).

use super::{Graph, Op};
use crate::error::{Error, Result};
use crate::graph::Value;
use crate::schema::Keys;

/// An update rule.
pub trait UpdateRule: Keys {
    /// Returns its name in a recipe.
    fn name(&self) -> &'static str;

    /// Returns the update formula: w is the parameter, g its gradient, t the step, counted from 1.
    fn formula(&self) -> &'static str;

    /// Returns the states kept for a parameter, as prefixes of their names, at most two; `binary`
    /// as in [`Weights::binary`](crate::model::Weights::binary).
    fn states(&self, binary: bool) -> &'static [&'static str];

    /// Returns the corrections that follow the learning rate in a step's rates; `step` is counted
    /// from 1.
    fn corrections(&self, _step: u64) -> [f32; 2] {
        [1.0, 1.0]
    }

    /// Returns the default weight decay.
    fn decay(&self) -> f32 {
        0.0
    }

    /// Whether binary weights are ±1 and flip.
    fn flips(&self) -> bool {
        false
    }

    /// Checks that the hyperparameters are consistent.
    ///
    /// # Errors
    ///
    /// Returns the key at fault and the reason if they are not.
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        Ok(())
    }

    /// Appends the nodes that update one parameter in place, and returns the last one's value.
    ///
    /// # Errors
    ///
    /// Returns an error if shapes do not fit.
    fn append(&self, to: &mut Target<'_>) -> Result<Value>;

    /// Appends the nodes by which one of several ranks votes on a weight's flips, from its own gradient, and returns
    /// its votes, ±1, which replace the gradient ([`super::vote`]).
    ///
    /// # Errors
    ///
    /// Returns an error if the rule flips no weights.
    #[cfg(not(target_arch = "wasm32"))]
    fn vote(&self, _to: &mut Target<'_>, _ranks: usize) -> Result<Value> {
        Err(no_flips(self.name()))
    }

    /// Appends the nodes that flip a weight in place where the sum of all ranks' votes, which is passed as its
    /// gradient, is above 0, and returns the last one's value.
    ///
    /// # Errors
    ///
    /// Returns an error if the rule flips no weights.
    fn follow(&self, _to: &mut Target<'_>) -> Result<Value> {
        Err(no_flips(self.name()))
    }

    /// Returns rules for tests, with settings that all have an effect.
    fn examples() -> Vec<Self>
    where
        Self: Sized + Default,
    {
        vec![Self::default()]
    }
}

fn no_flips(rule: &str) -> Error {
    Error::Model(format!("{rule} flips no weights"))
}

/// A parameter for which a rule appends nodes.
#[derive(Debug)]
pub struct Target<'a> {
    pub(crate) graph: &'a mut Graph,
    /// The parameter.
    pub weight: Value,
    /// Its gradient.
    pub gradient: Value,
    /// Learning rate and corrections, `[4]`: [`Optimizer::rates`](crate::pass::Optimizer::rates).
    pub rates: Value,
    /// The states named by [`UpdateRule::states`].
    pub states: [Value; 2],
    /// Factor of the learning rate.
    pub lr_scale: f32,
    /// Weight decay.
    pub decay: f32,
    /// Whether it may flip.
    pub binary: bool,
}

impl Target<'_> {
    /// Appends a node.
    ///
    /// # Errors
    ///
    /// Returns an error if shapes do not fit.
    pub fn add(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        self.graph.add(op, inputs)
    }
}

/// Declares the list of all rules.
macro_rules! rules {
    ($($module:ident::$name:ident),* $(,)?) => {
        /// The update rules.
        pub mod rules {
            $(pub use super::$module::$name;)*
        }

        /// An update rule with its hyperparameters.
        #[derive(Clone, Copy, PartialEq, Debug)]
        pub enum Rule {
            $(#[doc = concat!("See [`", stringify!($name), "`](struct@rules::", stringify!($name), ").")] $name(rules::$name)),*
        }

        $(impl From<rules::$name> for Rule {
            fn from(rule: rules::$name) -> Self {
                Self::$name(rule)
            }
        })*

        impl std::ops::Deref for Rule {
            type Target = dyn rule::UpdateRule;
            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$name(rule) => rule),*
                }
            }
        }

        impl Rule {
            /// Returns every rule with its defaults.
            pub fn all() -> Vec<Self> {
                vec![$(rules::$name::default().into()),*]
            }

            /// Returns every rule for tests, some of them twice, with settings that all have an
            /// effect.
            pub fn examples() -> Vec<Self> {
                let mut all: Vec<Self> = Vec::new();
                $(all.extend(<rules::$name as rule::UpdateRule>::examples().into_iter().map(Self::from));)*
                all
            }

            /// Returns its keys in a recipe.
            pub fn keys(&mut self) -> &mut dyn crate::schema::Keys {
                match self {
                    $(Self::$name(rule) => rule),*
                }
            }
        }

        impl crate::schema::Kinds for Rule {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                Self::all().iter().map(|rule| (rule.name(), rule.formula())).collect()
            }

            fn name(&self) -> &'static str {
                rule::UpdateRule::name(&**self)
            }

            fn choose(&mut self, at: usize) {
                *self = Self::all()[at];
            }
        }
    };
}
pub(super) use rules;
