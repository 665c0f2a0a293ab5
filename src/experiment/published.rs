//! Published accuracies, each with its source.

/// A published accuracy on CIFAR-10.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// Accuracy in per cent; the lower end of a range.
    pub low: f64,
    /// The upper end of a range.
    pub high: f64,
    /// The source.
    pub source: &'static str,
    /// The network, if it is not one of halfwave's; no difference is computed then.
    pub network: Option<&'static str>,
}

/// A network described only in the paper.
const OWN: Option<&str> = Some("another network");

/// VGG-small, 1-bit weights, 2-bit activations: "close to 92.0%~92.5%".
pub(super) const HWGQ: Published =
    Published { low: 92.0, high: 92.5, source: "the authors' code, examples/cifar10/readme.md", network: None };

/// VGG-small in f32.
pub(super) const FLOAT: Published =
    Published { low: 93.8, high: 93.8, source: "LQ-Nets, arXiv 1807.10029, as others quote it", network: None };

/// Only weights binary: an error of 9.88%.
pub(super) const BWN: Published = Published { low: 90.12, high: 90.12, source: "arXiv 1603.05279", network: OWN };

/// XNOR-Net: an error of 10.17%.
pub(super) const XNOR: Published = Published { low: 89.83, high: 89.83, source: "arXiv 1603.05279", network: OWN };

/// BinaryNet: errors of 11.40% (Theano) and 10.15% (Torch).
pub(super) const BNN: Published =
    Published { low: 88.6, high: 89.85, source: "arXiv 1602.02830, in Theano and in Torch", network: None };

/// VGG-11, float weights, 2-bit activations, 200 epochs.
pub(super) const fn vgg11(accuracy: f64) -> Published {
    Published { low: accuracy, high: accuracy, source: "arXiv 1903.05662, table 1", network: None }
}

impl Published {
    /// Returns the number, or the range.
    pub fn text(&self) -> String {
        let [low, high] = [self.low, self.high].map(short);
        if low == high { low } else { format!("{low}–{high}") }
    }

    /// Returns the source, with the network if it is another one.
    pub fn cited(&self) -> String {
        self.network.map_or(self.source.to_string(), |network| format!("{}, on {network}", self.source))
    }

    /// Returns the difference between an accuracy in per cent and the published one; 0 within a
    /// range.
    pub fn difference(&self, accuracy: f64) -> f64 {
        accuracy - accuracy.clamp(self.low, self.high)
    }
}

/// Formats a percentage with the published digits, at least one decimal.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.strip_suffix('0').map_or(text.clone(), str::to_string)
}
