//! A kernel's source as translated for each platform.
//!
//! The translators are those of wgpu's backends, with the options that the backends use for this
//! engine's pipelines: indices are kept within their arrays where the platform does not ensure it,
//! loops are bounded, division by zero is caught; workgroup memory is not cleared, because every
//! kernel writes it before reading it. Options that a backend chooses by device have the values for
//! a basic one: Metal 2.0, shader model 5.1, SPIR-V 1.3 without robust buffers. Binding numbers are used for registers, which DX12 would number itself.

use super::{Access, Shader};
use crate::error::{Error, Result};
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::{ResourceBinding, ShaderStage};
use std::fmt::Display;

/// A target of the translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Browsers: the generated source itself.
    Wgsl,
    /// Vulkan.
    Spirv,
    /// Metal.
    Msl,
    /// DX12.
    Hlsl,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 4] = [Self::Wgsl, Self::Spirv, Self::Msl, Self::Hlsl];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wgsl => "WGSL",
            Self::Spirv => "SPIR-V",
            Self::Msl => "MSL",
            Self::Hlsl => "HLSL",
        }
    }
}

impl Shader {
    /// Translates the kernel for a platform, to the bytes of a file: text, or SPIR-V.
    ///
    /// # Errors
    ///
    /// Returns the translator's error if the target cannot express the kernel.
    pub fn emit(&self, target: Target) -> Result<Vec<u8>> {
        match target {
            Target::Wgsl => Ok(self.text.clone().into_bytes()),
            Target::Spirv => Ok(self.spirv()?.into_iter().flat_map(u32::to_le_bytes).collect()),
            Target::Msl => self.msl().map(String::into_bytes),
            Target::Hlsl => self.hlsl().map(String::into_bytes),
        }
    }

    fn spirv(&self) -> Result<Vec<u32>> {
        let options = spv::Options {
            lang_version: (1, 3),
            flags: spv::WriterFlags::DEBUG, // names; nothing else differs
            bounds_check_policies: RESTRICT,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            ..Default::default()
        };
        let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: MAIN.to_string() };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline)).map_err(self.refused(Target::Spirv))
    }

    fn msl(&self) -> Result<String> {
        let slots = self.bindings.iter().enumerate().map(|(index, bound)| {
            let target = msl::BindTarget {
                buffer: Some(index as u8),
                mutable: bound.access == Access::Write,
                ..Default::default()
            };
            (resource(index), target)
        });
        let resources = msl::EntryPointResources {
            resources: slots.collect(),
            immediates_buffer: None,
            sizes_buffer: Some(self.bindings.len() as u8),
        };
        let options = msl::Options {
            lang_version: if self.coop { (2, 4) } else { (2, 0) },
            per_entry_point_map: [(MAIN.to_string(), resources)].into(),
            fake_missing_bindings: false,
            bounds_check_policies: RESTRICT,
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        let (text, info) = msl::write_string(&self.module, &self.info, &options, &Default::default())
            .map_err(self.refused(Target::Msl))?;
        info.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(self.refused(Target::Msl))?;
        Ok(text)
    }

    fn hlsl(&self) -> Result<String> {
        let options = hlsl::Options {
            // The oldest sufficient shader model: half floats need 6.2.
            shader_model: if self.f16 { hlsl::ShaderModel::V6_2 } else { hlsl::ShaderModel::V5_1 },
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        let (pipeline, mut text) = (hlsl::PipelineOptions::default(), String::new());
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&self.module, &self.info, None);
        let info = written.map_err(self.refused(Target::Hlsl))?;
        info.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(self.refused(Target::Hlsl))?;
        Ok(text)
    }

    fn refused<E: Display>(&self, target: Target) -> impl Fn(E) -> Error {
        move |error| Error::Model(format!("{} cannot be {}: {error}", self.label, target.name()))
    }
}

/// The entry point of every kernel.
const MAIN: &str = "main";

const RESTRICT: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Restrict,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

fn resource(index: usize) -> ResourceBinding {
    ResourceBinding { group: 0, binding: index as u32 }
}
