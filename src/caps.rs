//! What a plan has to know of a device: its limits and the launch shape that suits it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the heavy kernels spread their work. Integer results do not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchShape {
    /// Operands are staged through workgroup memory and shared by 64 invocations: GPUs.
    Tiled,
    /// Each invocation loads its own operands into a large register block: software drivers, where a barrier costs more than a load saves.
    Registers,
}

/// Limits and preferences of a device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Caps {
    /// How heavy kernels are launched.
    pub shape: LaunchShape,
    /// Largest storage binding.
    pub max_binding_bytes: u64,
    /// Largest buffer.
    pub max_buffer_bytes: u64,
    /// Most workgroups in one dimension of a dispatch.
    pub max_groups: usize,
    /// Distance between two uniforms in one buffer.
    pub uniform_align_bytes: usize,
    /// Whether kernels may compute in half floats.
    pub f16: bool,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: usize,
    /// Most invocations of a workgroup.
    pub workgroup_threads: usize,
    /// Kernels that are wanted instead of those of the lowest estimated cost, by the operation's stem: see [`crate::variant`].
    pub choices: BTreeMap<String, String>,
}

impl Caps {
    /// WebGPU's default limits: what every device has.
    pub fn baseline(shape: LaunchShape) -> Self {
        Self {
            shape,
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_groups: 65_535,
            uniform_align_bytes: 256,
            f16: false,
            workgroup_bytes: 16 << 10,
            workgroup_threads: 256,
            choices: BTreeMap::new(),
        }
    }

    /// Invocations with 128 sums each, or otherwise with as many registers, that a large device runs at once. No API tells it; `tune` can.
    pub fn width(&self) -> usize {
        match self.shape {
            LaunchShape::Tiled => 33 << 10,
            LaunchShape::Registers => 512,
        }
    }

    /// The same device with another kernel for an operation.
    #[must_use]
    pub fn choosing(mut self, stem: &str, kernel: &str) -> Self {
        self.choices.insert(stem.to_string(), kernel.to_string());
        self
    }

    /// No limits on sizes: for a plan that is looked at, not run.
    pub fn unlimited(shape: LaunchShape) -> Self {
        Self { max_binding_bytes: u64::MAX, max_buffer_bytes: u64::MAX, ..Self::baseline(shape) }
    }

    /// The CPU backend: no limits but memory.
    pub fn cpu() -> Self {
        Self::unlimited(LaunchShape::Registers)
    }
}
