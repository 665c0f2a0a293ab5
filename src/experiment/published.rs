//! Published accuracies, each with where it was read.

/// An accuracy on CIFAR-10 that somebody published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// In per cent; the lower end where it is a range.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Where it stands.
    pub source: &'static str,
    /// The network it is of, where that is none of halfwave's: no difference is taken then.
    pub network: Option<&'static str>,
}

/// The authors' own network of a paper.
const OWN: Option<&str> = Some("another network");

/// VGG-small, 1-bit weights, 2-bit activations: "close to 92.0%~92.5%".
pub(super) const HWGQ: Published =
    Published { low: 92.0, high: 92.5, source: "the authors' code, examples/cifar10/readme.md", network: None };

/// VGG-small in floats.
pub(super) const FLOAT: Published =
    Published { low: 93.8, high: 93.8, source: "LQ-Nets, arXiv 1807.10029, as others quote it", network: None };

/// Binary weights alone: an error of 9.88 %.
pub(super) const BWN: Published = Published { low: 90.12, high: 90.12, source: "arXiv 1603.05279", network: OWN };

/// XNOR-Net: an error of 10.17 %.
pub(super) const XNOR: Published = Published { low: 89.83, high: 89.83, source: "arXiv 1603.05279", network: OWN };

/// BinaryNet: errors of 11.40 % (Theano) and 10.15 % (Torch).
pub(super) const BNN: Published =
    Published { low: 88.6, high: 89.85, source: "arXiv 1602.02830, in Theano and in Torch", network: None };

/// VGG-11, float weights, 2-bit activations, 200 epochs.
pub(super) const fn vgg11(accuracy: f64) -> Published {
    Published { low: accuracy, high: accuracy, source: "arXiv 1903.05662, table 1", network: None }
}

impl Published {
    /// The number, or the range.
    pub fn text(&self) -> String {
        let [low, high] = [self.low, self.high].map(short);
        if low == high { low } else { format!("{low}–{high}") }
    }

    /// Where it stands, and of what it is.
    pub fn cited(&self) -> String {
        self.network.map_or(self.source.to_string(), |network| format!("{}, on {network}", self.source))
    }

    /// How far an accuracy of its network, in per cent, is from it: 0 within a range.
    pub fn difference(&self, accuracy: f64) -> f64 {
        accuracy - accuracy.clamp(self.low, self.high)
    }
}

/// Per cent with the digits that were published, one at least.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.strip_suffix('0').map_or(text.clone(), str::to_string)
}
