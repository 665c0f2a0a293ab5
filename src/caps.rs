//! What a plan has to know of a device: its class, its limits, and which kernels were found best on it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A class of devices on which the same kernels are fast. Integer results do not depend on it.
///
/// What follows from it for kernels is one row of [`Traits`]: another class is a word here and a row there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// Many invocations run at once, and workgroup memory is fast.
    #[serde(alias = "tiled")] // up to version 0.1 in run.json
    Gpu,
    /// A driver that computes on the CPU: a barrier costs more than a shared load saves.
    #[serde(alias = "registers")]
    Software,
}

/// What kernels, and the estimates of their cost, have to know of a class of devices.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traits {
    /// Whether invocations of a workgroup should share a reduction, which takes barriers.
    pub barriers: bool,
    /// Speed of kernels that stage their operands through workgroup memory, relative to the best.
    pub staged: f64,
    /// Speed of those whose invocations load their own operands.
    pub unstaged: f64,
    /// Share of the time of one round of invocations that is idle at the beginning and the end of a launch.
    pub idle: f64,
    /// How much executed multiply-adds that nobody needs count beyond their time, as a power of their ratio: where a launch is too small for a device they take no time, but energy.
    pub waste: f64,
    /// Invocations with 128 sums each, or otherwise with as many registers, that a large device of the class runs at once. No API tells it.
    pub width: usize,
}

impl DeviceClass {
    /// Its row of the table. GPU: measured on an NVIDIA H200 (`docs/measurements`). Software: measured on lavapipe and SwiftShader.
    pub fn traits(self) -> Traits {
        match self {
            Self::Gpu => {
                Traits { barriers: true, staged: 1.0, unstaged: 0.15, idle: 0.25, waste: 0.25, width: 33 << 10 }
            }
            Self::Software => Traits { barriers: false, staged: 0.3, unstaged: 1.0, idle: 0.0, waste: 0.0, width: 512 },
        }
    }
}

/// A kernel that is wanted for an operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// Its name in the operation's list.
    pub kernel: String,
    /// Parts that its sum is cut into, as far as the kernel can; its own estimate where none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
}

/// Cooperative matrices: products of small matrices that a subgroup makes together, of half floats, added up in f32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Coop {
    /// Rows, columns and depth of a matrix: 16 or 8.
    pub size: usize,
    /// Invocations of a subgroup.
    pub subgroup: usize,
    /// Whether plain WGSL stands in for them: a test of sizes that no software driver has.
    #[serde(default)]
    pub emulated: bool,
}

/// Limits and preferences of a device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Caps {
    /// What it is like.
    pub class: DeviceClass,
    /// Largest storage binding.
    pub max_binding_bytes: u64,
    /// Largest buffer.
    pub max_buffer_bytes: u64,
    /// Most workgroups in one dimension of a dispatch.
    pub max_groups: usize,
    /// Most storage buffers of a launch that was merged of several; 0 leaves all launches as they are.
    pub max_buffers: usize,
    /// Distance between two uniforms in one buffer.
    pub uniform_align_bytes: usize,
    /// Whether kernels may compute in half floats.
    pub f16: bool,
    /// Cooperative matrices, where kernels can use them.
    #[serde(default)]
    pub coop: Option<Coop>,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: usize,
    /// Most invocations of a workgroup.
    pub workgroup_threads: usize,
    /// Kernels that are wanted instead of those of the lowest estimated cost: by the operation's stem, or for certain shapes by its [site](crate::ops::Op::site). See [`crate::variant`].
    pub choices: BTreeMap<String, Choice>,
    /// Whether all kernels run with wgpu's checks.
    #[serde(default)]
    pub checks: bool,
    /// Of the operation that a kernel is chosen for: which of its inputs a plan stores in half precision, a bit each ([`crate::halves`]).
    #[serde(skip)]
    pub half_inputs: u32,
    /// Kernels that were compared with their reference on this device, as [`verdict_key`](crate::variant::verdict_key) names them, and whether they agreed: see [`crate::first_use`]. Those that did not are never chosen.
    pub verdicts: BTreeMap<String, bool>,
}

impl Caps {
    /// WebGPU's default limits: what every device has.
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

    /// The same device with another kernel for an operation.
    #[must_use]
    pub fn choosing(mut self, stem: &str, kernel: &str) -> Self {
        self.choices.insert(stem.to_string(), Choice { kernel: kernel.to_string(), parts: None });
        self
    }

    /// The same device as one operation sees it: what was chosen for its site is chosen for it.
    pub fn at(&self, stem: &str, site: &str) -> Cow<'_, Self> {
        let Some(choice) = self.choices.get(site) else { return Cow::Borrowed(self) };
        let mut caps = self.clone();
        caps.choices.insert(stem.to_string(), choice.clone());
        Cow::Owned(caps)
    }

    /// No limits on sizes: for a plan that is looked at, not run.
    pub fn unlimited(class: DeviceClass) -> Self {
        Self { max_binding_bytes: u64::MAX, max_buffer_bytes: u64::MAX, ..Self::baseline(class) }
    }

    /// The CPU backend: no limits but memory.
    pub fn cpu() -> Self {
        Self::unlimited(DeviceClass::Software)
    }
}
