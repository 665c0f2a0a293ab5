//! Validation of models: names, sources, and shapes, which each kind of layer defines itself
//! ([`super::Definition`]).
use super::{INPUT, Layer, LayerKind, Model, ModelError, Shape};
use crate::ops::window::{Misfit, Window};

/// Most elements in one image's tensor or one layer's weights: indices in kernels are 32-bit.
const MOST_ELEMENTS: usize = 1 << 31;

pub(super) fn text([c, h, w]: Shape) -> String {
    format!("{c}×{h}×{w}")
}

pub(super) fn elements(factors: &[usize]) -> Option<usize> {
    factors.iter().try_fold(1usize, |product, &f| product.checked_mul(f)).filter(|&product| product < MOST_ELEMENTS)
}

impl Model {
    /// Returns the origin of each input of layer `index`: the index of an earlier layer, or `None`
    /// for the model's input.
    ///
    /// # Errors
    ///
    /// Returns an error if an input names no earlier layer.
    pub fn sources(&self, index: usize) -> Result<Vec<Option<usize>>, ModelError> {
        let layer = &self.layers[index];
        let find = |name: &String| {
            if name == INPUT {
                return Ok(None);
            }
            let earlier = &self.layers[..index];
            if let Some(at) = earlier.iter().position(|l| l.name == *name) {
                return Ok(Some(at));
            }
            let later = self.layers[index..].iter().any(|l| l.name == *name);
            let known = earlier.iter().map(|l| format!("\"{}\"", l.name)).chain([format!("\"{INPUT}\"")]);
            let why = if later { "does not come before it" } else { "does not exist" };
            Err(format!("from = \"{name}\": that layer {why}; choose among {}", known.collect::<Vec<_>>().join(", ")))
        };
        layer.from.iter().map(find).collect::<Result<_, _>>().map_err(|message| self.wrong(index, message))
    }

    /// Returns what layer `index` reads: its sources, except that a linear layer reads the source
    /// of a flatten layer before it, because a linear layer flattens by itself, in the same order.
    ///
    /// # Errors
    ///
    /// Returns an error if an input names no earlier layer.
    pub fn reads(&self, index: usize) -> Result<Vec<Option<usize>>, ModelError> {
        let mut sources = self.sources(index)?;
        if let LayerKind::Linear(_) = self.layers[index].kind {
            while let [Some(at)] = sources[..]
                && let LayerKind::Flatten(_) = self.layers[at].kind
            {
                sources = self.sources(at)?;
            }
        }
        Ok(sources)
    }

    /// Returns the output shape (channels, height, width) of every layer, in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the list of layers is not a valid model; see [`ModelError`].
    pub fn shapes(&self) -> Result<Vec<Shape>, ModelError> {
        let whole = |message: String| Err(ModelError { layer: None, message, classes: false });
        if self.input.contains(&0) || elements(&self.input).is_none() {
            return whole(format!(
                "model input {}: give channels, height and width, each at least 1",
                text(self.input)
            ));
        }
        if self.classes == 0 {
            return whole("classes = 0: give the number of classes".into());
        }
        if self.layers.is_empty() {
            return whole("the model has no layers: add at least one [[model.layers]]".into());
        }
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.layers.len());
        let mut used = vec![false; self.layers.len()];
        for index in 0..self.layers.len() {
            self.check_name(index).map_err(|message| self.wrong(index, message))?;
            let sources = self.sources(index)?;
            sources.iter().flatten().for_each(|&source| used[source] = true);
            let inputs: Vec<Shape> = sources.iter().map(|s| s.map_or(self.input, |at| shapes[at])).collect();
            let of_signs =
                sources.first().copied().flatten().is_some_and(|at| matches!(self.layers[at].kind, LayerKind::Sign(_)));
            if matches!(&self.layers[index].kind, LayerKind::Conv(conv) if conv.input_scale) && !of_signs {
                let message = "input_scale needs a sign layer right before it; put one there, or remove it";
                return Err(self.wrong(index, message.into()));
            }
            let shape = self.output(index, &inputs).map_err(|message| self.wrong(index, message))?;
            shapes.push(shape);
        }
        let last = self.layers.len() - 1;
        if let Some(idle) = used[..last].iter().position(|used| !used) {
            let message = "no later layer takes its output; name it in a `from`, or remove it";
            return Err(self.wrong(idle, message.into()));
        }
        let [c, h, w] = shapes[last];
        if c * h * w != self.classes {
            let message = format!(
                "the last layer gives {} = {} values, but there are {} classes; end with a linear layer of units = {}",
                text(shapes[last]),
                c * h * w,
                self.classes,
                self.classes
            );
            return Err(ModelError { classes: true, ..self.wrong(last, message) });
        }
        Ok(shapes)
    }

    /// Returns the number of weights and biases of all convolutions and linear layers (without
    /// batch-norm).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Model::shapes`].
    pub fn weights_len(&self) -> Result<u64, ModelError> {
        let layers = self.summary()?.layers.into_iter();
        Ok(layers.filter(|layer| layer.weight_bits.is_some()).map(|layer| layer.parameters).sum())
    }

    /// Returns the multiply-adds of all convolutions and linear layers in one forward pass of one
    /// image.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Model::shapes`].
    pub fn multiply_adds(&self) -> Result<u64, ModelError> {
        Ok(self.summary()?.multiply_adds)
    }

    /// Returns the multiply-adds that are computed on bits: those of layers with packed weights
    /// over codes.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Model::shapes`].
    pub fn binary_multiply_adds(&self) -> Result<u64, ModelError> {
        Ok(self.summary()?.bit_multiply_adds)
    }

    fn wrong(&self, index: usize, message: String) -> ModelError {
        let Layer { name, kind, .. } = &self.layers[index];
        let message = format!("layer \"{name}\" ({}): {message}", kind.name());
        ModelError { layer: Some(index), message, classes: false }
    }

    fn check_name(&self, index: usize) -> Result<(), String> {
        let name = &self.layers[index].name;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(allowed) {
            return Err("a layer's name must be made of letters, digits, '_', '-' and '.'; rename it".into());
        }
        if name == INPUT {
            return Err(format!("\"{INPUT}\" is the model's input; give the layer another name"));
        }
        if self.layers[..index].iter().any(|l| l.name == *name) {
            return Err("an earlier layer has the same name; names must be unique".into());
        }
        Ok(())
    }

    fn output(&self, index: usize, inputs: &[Shape]) -> Result<Shape, String> {
        let kind = &self.layers[index].kind;
        let definition = kind.definition();
        if !definition.joins() && inputs.len() != 1 {
            let [n, kind] = [&inputs.len().to_string(), kind.name()];
            return Err(format!(
                "a {kind} layer takes exactly one input, not {n}; join them with an add or concat layer first"
            ));
        }
        let output = definition.output(inputs)?;
        let too_large = || format!("its output {} is too large; use fewer filters or less padding", text(output));
        elements(&output).map(|_| output).ok_or_else(too_large)
    }

    /// Whether layer `index` has packed weights but reads floats: its weights are then unpacked,
    /// and nothing is computed on bits. An input consists of codes if it comes from a quantiser,
    /// possibly through max-pools.
    pub fn unpacks(&self, index: usize) -> bool {
        let mut at = index;
        loop {
            match self.reads(at).ok().and_then(|sources| sources.first().copied().flatten()) {
                Some(source) if self.layers[source].kind.makes_codes() => return false,
                Some(source) if matches!(self.layers[source].kind, LayerKind::MaxPool(_)) => at = source,
                _ => return self.layers[index].kind.packed_weights().is_some(),
            }
        }
    }
}

/// Returns the output height and width of a window over `input`.
pub(super) fn windows(input: Shape, window: Window, advice: &str) -> Result<[usize; 2], String> {
    let [_, h, w] = input;
    let output = window.output([h, w]).map_err(|error| match error {
        Misfit::Larger => {
            let ([kh, kw], [ph, pw]) = (window.reach().unwrap_or(window.kernel), window.padding);
            format!("the {kh}×{kw} kernel is larger than its input {} with padding {ph}×{pw}; {advice}", text(input))
        }
        other => other.to_string(),
    })?;
    // Such a stride has no effect but the number of cases that a gradient distinguishes.
    let ([sh, sw], [ph, pw]) = (window.stride, window.padding);
    if sh > h + 2 * ph || sw > w + 2 * pw {
        return Err(format!(
            "the stride {sh}×{sw} is larger than its input {} with padding {ph}×{pw}; use a smaller stride",
            text(input)
        ));
    }
    Ok(output)
}
