//! What a device can do at most, measured on it by small kernels.

use serde::{Deserialize, Serialize};

/// One measured limit.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ceiling {
    /// Per second: bytes or operations, as [`Launch`](super::Launch) counts them. For the launch overhead: nanoseconds.
    pub value: f64,
    /// (p90 − p10) / median of its repetitions.
    pub spread: f64,
    /// Time of twice the work over time of the work: 2 where the measurement is sound.
    pub doubling: f64,
}

/// Bytes read and written per second, as far as a working set of some length allows.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Copy {
    /// Bytes that are read and written, over and over.
    pub working_set_bytes: u64,
    /// How fast.
    #[serde(flatten)]
    pub ceiling: Ceiling,
}

/// The limits of a device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ceilings {
    /// Streaming copies, the smallest working set first, the last larger than caches.
    pub copy: Vec<Copy>,
    /// Float operations per second: fused multiply-adds in registers, two each.
    pub float: Ceiling,
    /// Half-float operations per second, where the device offers them.
    pub half: Option<Ceiling>,
    /// Bit operations per second: and + popcount + add over a word, 64 each.
    pub bit: Ceiling,
    /// 8-bit operations per second: `dot4I8Packed` + add, 8 each; where the device compiles it.
    pub dot: Option<Ceiling>,
    /// Bytes of workgroup memory read per second.
    pub workgroup: Ceiling,
    /// Nanoseconds that a dispatch takes whatever it does.
    pub launch: Ceiling,
}
