//! Element-wise activation functions.

use serde::Serialize;

/// An element-wise function; some have a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// min(max(x, 0), number).
    ClippedRelu,
    /// max(x, 0) up to the number t, then t + ln(x − t + 1).
    LogTailedRelu,
    /// tanh x.
    Tanh,
    /// min(max(x, −1), 1).
    HardTanh,
    /// 1/(1 + e^−x).
    Sigmoid,
    /// x/(1 + e^−x).
    Silu,
    /// x for x > 0, else number·x.
    LeakyRelu,
}

impl Curve {
    /// All functions, with their names in recipes and in files.
    pub const ALL: [(&str, Self); 7] = [
        ("clipped_relu", Self::ClippedRelu),
        ("log_tailed_relu", Self::LogTailedRelu),
        ("tanh", Self::Tanh),
        ("hard_tanh", Self::HardTanh),
        ("sigmoid", Self::Sigmoid),
        ("silu", Self::Silu),
        ("leaky_relu", Self::LeakyRelu),
    ];

    /// Returns the function of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, curve)| *curve)
    }

    /// Replaces each x by f(x).
    pub fn map(self, values: &mut [f32], number: f32) {
        fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
            values.iter_mut().for_each(|value| *value = f(*value));
        }
        match self {
            // Like `clamp`, which panics where the number is below 0.
            Self::ClippedRelu => each(values, |x| {
                if x < 0.0 {
                    0.0
                } else if x > number {
                    number
                } else {
                    x
                }
            }),
            Self::LogTailedRelu => {
                each(values, |x| if x > number { number + libm::logf(x - number + 1.0) } else { x.max(0.0) })
            }
            Self::Tanh => each(values, |x| {
                let e = libm::expf(-2.0 * x.abs());
                let y = (1.0 - e) / (1.0 + e);
                if x < 0.0 { -y } else { y }
            }),
            Self::HardTanh => each(values, |x| x.clamp(-1.0, 1.0)),
            Self::Sigmoid => each(values, sigmoid),
            Self::Silu => each(values, |x| x * sigmoid(x)),
            Self::LeakyRelu => each(values, |x| if x > 0.0 { x } else { number * x }),
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    let e = libm::expf(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}
