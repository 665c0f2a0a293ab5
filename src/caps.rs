//! Device capabilities: device class, limits, and the kernels found best on the device.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A class of devices on which the same kernels are fast. Integer results do not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// Many invocations run at once, and workgroup memory is fast.
    #[serde(alias = "tiled")] // in the run.json of versions up to 0.1
    Gpu,
    /// A driver that computes on the CPU: a barrier costs more than a shared load saves.
    #[serde(alias = "registers")]
    Software,
}

/// Performance characteristics of a device class, used by kernels and by cost estimates: all that
/// distinguishes classes, so that a new one is a variant of [`DeviceClass`] and a value of this.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traits {
    /// Whether invocations of a workgroup should share a reduction, which needs barriers.
    pub barriers: bool,
    /// Speed of kernels that stage their operands through workgroup memory, relative to the best.
    pub staged: f64,
    /// Speed of kernels whose invocations load their own operands, relative to the best.
    pub unstaged: f64,
    /// Share of the time of one round of invocations that is idle at the beginning and the end of a
    /// launch.
    pub idle: f64,
    /// Penalty for executed multiply-adds that are not needed, beyond their time, as an exponent of
    /// their ratio. In a launch that is too small to fill a device they take no time, but energy.
    pub waste: f64,
    /// Number of invocations with 128 accumulators (or a similar number of registers) that a large
    /// device of the class runs at once. No API reports it.
    pub width: usize,
}

impl DeviceClass {
    /// Returns the characteristics of the class. GPU: measured on an NVIDIA H200
    /// (`docs/measurements`). Software: measured on lavapipe and SwiftShader.
    pub fn traits(self) -> Traits {
        match self {
            Self::Gpu => {
                Traits { barriers: true, staged: 1.0, unstaged: 0.15, idle: 0.25, waste: 0.25, width: 33 << 10 }
            }
            Self::Software => Traits { barriers: false, staged: 0.3, unstaged: 1.0, idle: 0.0, waste: 0.0, width: 512 },
        }
    }
}

/// A kernel requested for an operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// Its name in the operation's list of candidates.
    pub kernel: String,
    /// Number of partial sums, as far as the kernel supports it; by default the kernel's own
    /// estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
}

/// Cooperative matrices: products of small half-float matrices that a subgroup computes together,
/// accumulated in f32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Coop {
    /// Rows, columns and depth of a matrix: 16 or 8.
    pub size: usize,
    /// Invocations in a subgroup.
    pub subgroup: usize,
    /// Whether they are emulated in plain WGSL, to test sizes that no software driver supports.
    #[serde(default)]
    pub emulated: bool,
}

/// Limits and preferences of a device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Caps {
    /// The device class.
    pub class: DeviceClass,
    /// Largest storage binding.
    pub max_binding_bytes: u64,
    /// Largest buffer.
    pub max_buffer_bytes: u64,
    /// Most workgroups in one dimension of a dispatch.
    pub max_groups: usize,
    /// Most storage buffers of a merged launch; 0 disables merging.
    pub max_buffers: usize,
    /// Alignment of uniforms in a shared buffer.
    pub uniform_align_bytes: usize,
    /// Whether kernels may compute in half floats.
    pub f16: bool,
    /// Cooperative matrices, if kernels can use them.
    #[serde(default)]
    pub coop: Option<Coop>,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: usize,
    /// Most invocations per workgroup.
    pub workgroup_threads: usize,
    /// Kernels requested instead of those with the lowest estimated cost: by the operation's stem,
    /// or for certain shapes by its [site](crate::ops::Op::site). See [`crate::variant`].
    pub choices: BTreeMap<String, Choice>,
    /// Whether all kernels run with wgpu's checks.
    #[serde(default)]
    pub checks: bool,
    /// The inputs of the operation under consideration that a plan stores in half precision, one
    /// bit each ([`crate::halves`]).
    #[serde(skip)]
    pub half_inputs: u32,
    /// Kernels that were compared with the reference implementation on this device, by
    /// [`verdict_key`](crate::variant::verdict_key), and whether they agreed: see
    /// [`crate::first_use`]. Those that did not agree are never chosen.
    pub verdicts: BTreeMap<String, bool>,
}

impl Caps {
    /// WebGPU's default limits, which every device supports.
    pub fn baseline(class: DeviceClass) -> Self {
        Self {
            class,
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_groups: 65_535,
            max_buffers: 8,
            uniform_align_bytes: 256,
            f16: false,
            coop: None,
            workgroup_bytes: 16 << 10,
            workgroup_threads: 256,
            choices: BTreeMap::new(),
            checks: false,
            half_inputs: 0,
            verdicts: BTreeMap::new(),
        }
    }

    /// Returns the same capabilities with another kernel requested for an operation.
    #[must_use]
    pub fn choosing(mut self, stem: &str, kernel: &str) -> Self {
        self.choices.insert(stem.to_string(), Choice { kernel: kernel.to_string(), parts: None });
        self
    }

    /// Returns the capabilities for one operation: a kernel requested for its site takes precedence
    /// over one requested for its stem.
    pub fn at(&self, stem: &str, site: &str) -> Cow<'_, Self> {
        let Some(choice) = self.choices.get(site) else { return Cow::Borrowed(self) };
        let mut caps = self.clone();
        caps.choices.insert(stem.to_string(), choice.clone());
        Cow::Owned(caps)
    }

    /// No limits on sizes, for a plan that is only inspected.
    pub fn unlimited(class: DeviceClass) -> Self {
        Self { max_binding_bytes: u64::MAX, max_buffer_bytes: u64::MAX, ..Self::baseline(class) }
    }

    /// The CPU backend, limited only by memory.
    pub fn cpu() -> Self {
        Self::unlimited(DeviceClass::Software)
    }
}
