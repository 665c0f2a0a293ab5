//! Kinds of layers that are defined outside of this crate. A registered kind is used like any
//! other: in recipes by its name, in code by [`LayerKind::custom`].

use super::definition::{Codes, Definition, Learned, Shape};
use super::{LayerDescription, LayerKind, builtin_kinds};
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::ops::code::Code;
use crate::schema::{Keys, Numbers, Setting, Visitor, key};
use crate::tensor::TensorType;
use std::fmt;
use std::sync::{PoisonError, RwLock};

pub use crate::ops::curve::Number;

/// Number of values of a learned parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// One for the layer.
    Scalar,
    /// One for each channel of the layer's first input.
    Channels,
}

/// The function that creates a layer's operation from its settings.
type Create = Box<dyn Fn(&[f32]) -> Op + Send + Sync>;

/// A kind of layer that is defined outside of this crate: a name for recipes, settings, learned
/// parameters and an operation.
pub struct CustomKind {
    name: &'static str,
    formula: &'static str,
    source: &'static str,
    inputs: usize,
    numbers: Vec<Number>,
    learned: Vec<(&'static str, Size, f32)>,
    codes: Option<fn(&[f32]) -> Code>,
    operation: Create,
}

impl fmt::Debug for CustomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomKind({})", self.name)
    }
}

impl CustomKind {
    /// A kind with one input, called `name` in recipes. `operation` creates the operation of a
    /// layer from its settings, in the order in which they are declared. The operation's inputs
    /// are the layer's inputs as floats, `[n, h, w, c]`, then its learned parameters, `[1]` or
    /// `[c]`; its output is `[n, h, w, c]` with the same n.
    pub fn new(name: &'static str, operation: impl Fn(&[f32]) -> Op + Send + Sync + 'static) -> Self {
        let operation = Box::new(operation);
        let (numbers, learned) = (Vec::new(), Vec::new());
        Self { name, formula: "", source: "", inputs: 1, numbers, learned, codes: None, operation }
    }

    /// Describes it, for listings.
    #[must_use]
    pub fn described(self, formula: &'static str, source: &'static str) -> Self {
        Self { formula, source, ..self }
    }

    /// Sets the number of inputs.
    #[must_use]
    pub fn inputs(self, inputs: usize) -> Self {
        Self { inputs, ..self }
    }

    /// Adds a setting: a key of the layer in recipes.
    #[must_use]
    pub fn number(mut self, number: Number) -> Self {
        self.numbers.push(number);
        self
    }

    /// Adds a learned parameter with its initial value. In checkpoints it is called
    /// `<layer>.<name>`.
    #[must_use]
    pub fn learned(mut self, name: &'static str, size: Size, start: f32) -> Self {
        self.learned.push((name, size, start));
        self
    }

    /// Declares a quantiser: the operation's output consists of codes, which represent the numbers
    /// of `code` for the layer's settings. Packed convolutions then compute on its bits.
    #[must_use]
    pub fn codes(self, code: fn(&[f32]) -> Code) -> Self {
        Self { codes: Some(code), ..self }
    }

    /// Registers the kind for the rest of the program.
    ///
    /// # Errors
    ///
    /// Returns an error if there is a kind with this name.
    pub fn register(self) -> Result<()> {
        let mut all = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
        let taken =
            |name| builtin_kinds().iter().any(|kind| kind.name == name) || all.iter().any(|kind| kind.name == name);
        if taken(self.name) {
            return Err(Error::Usage(format!("there is already a kind of layer \"{}\"; use another name", self.name)));
        }
        // Layers refer to their kind as long as the program runs.
        all.push(Box::leak(Box::new(self)));
        Ok(())
    }
}

static REGISTERED: RwLock<Vec<&'static CustomKind>> = RwLock::new(Vec::new());

/// Returns the registered kinds, in the order of registration.
pub(super) fn registered() -> Vec<&'static CustomKind> {
    REGISTERED.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl CustomKind {
    /// Returns its name and its formula.
    pub(super) fn named_formula(&self) -> (&'static str, &'static str) {
        (self.name, self.formula)
    }

    /// Returns its description.
    pub(super) fn describe(&'static self) -> LayerDescription {
        LayerDescription { name: self.name, formula: self.formula, source: self.source, start: self.start() }
    }

    /// Returns a layer of this kind with all defaults.
    pub(super) fn start(&'static self) -> LayerKind {
        LayerKind::Custom(Custom { kind: self, settings: self.numbers.iter().map(|number| number.default).collect() })
    }
}

/// The settings of a layer of a registered kind.
#[derive(Clone, Debug)]
pub struct Custom {
    kind: &'static CustomKind,
    settings: Vec<f32>,
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name && self.settings == other.settings
    }
}

impl Keys for Custom {
    fn keys(&mut self, visitor: &mut dyn Visitor) {
        for (&Number { name, meaning, interval, advice, .. }, value) in self.kind.numbers.iter().zip(&mut self.settings)
        {
            visitor.visit(key(name, meaning), Setting::Number(value, Numbers { interval, advice }));
        }
    }
}

impl Custom {
    /// Returns the name of its kind.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }
}

impl Definition for Custom {
    fn joins(&self) -> bool {
        true
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (name, wanted, found) = (self.kind.name, self.kind.inputs, inputs.len());
        if wanted != found {
            let plural = if wanted == 1 { "" } else { "s" };
            return Err(format!("a {name} layer takes {wanted} input{plural}, not {found}; name as many in `from`"));
        }
        let mut types: Vec<_> = inputs.iter().map(|&[c, h, w]| TensorType::f32(&[1, h, w, c])).collect();
        types.extend(self.learned(inputs[0][0]).iter().map(|learned| TensorType::f32(&[learned.len])));
        let output = (self.kind.operation)(&self.settings).infer(&types.iter().collect::<Vec<_>>())?;
        match output.shape[..] {
            [1, h, w, c] => Ok([c, h, w]),
            _ => Err(format!("its operation makes {output} of one image; it must make [1, h, w, c]")),
        }
    }

    fn learned(&self, channels: usize) -> Vec<Learned> {
        let len = |size| if size == Size::Channels { channels } else { 1 };
        self.kind.learned.iter().map(|&(name, size, start)| Learned { name, len: len(size), start }).collect()
    }

    fn operation(&self, _inputs: &[Shape]) -> Option<Op> {
        Some((self.kind.operation)(&self.settings))
    }

    fn codes(&self) -> Option<Codes> {
        self.kind.codes.map(|code| code(&self.settings).into())
    }
}

impl LayerKind {
    /// A layer of a registered kind with its settings, in the order in which the kind declares
    /// them.
    ///
    /// # Errors
    ///
    /// Returns an error if no kind with this name is registered, or the number of settings differs
    /// from the kind's.
    pub fn custom(name: &str, settings: &[f32]) -> Result<Self> {
        let all = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
        let Some(kind) = all.iter().copied().find(|kind| kind.name == name) else {
            return Err(Error::Usage(format!(
                "no kind of layer \"{name}\" is registered; call CustomKind::register first"
            )));
        };
        let (wanted, found) = (kind.numbers.len(), settings.len());
        if wanted != found {
            return Err(Error::Usage(format!("a {name} layer has {wanted} settings, not {found}")));
        }
        Ok(Self::Custom(Custom { kind, settings: settings.to_vec() }))
    }
}
