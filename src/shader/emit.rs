//! A kernel's source as translated for each platform.
//!
//! The translators are those of wgpu's backends, with the options that the backends use for this
//! engine's pipelines: indices are kept within their arrays where the platform does not ensure it,
//! loops are bounded, division by zero is caught; workgroup memory is not cleared, because every
//! kernel writes it before reading it. Options that a backend chooses by device have the values for
//! a basic one: Metal 2.0, shader model 5.1, SPIR-V 1.3 without robust buffers, GLSL ES 3.10.
//! Binding numbers are used for registers, which DX12 would number itself.

use super::{Access, Shader};
use crate::error::{Error, Result};
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::{ResourceBinding, ShaderStage};
use std::fmt::{Display, Write as _};

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
    /// OpenGL ES.
    Glsl,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 5] = [Self::Wgsl, Self::Spirv, Self::Msl, Self::Hlsl, Self::Glsl];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wgsl => "WGSL",
            Self::Spirv => "SPIR-V",
            Self::Msl => "MSL",
            Self::Hlsl => "HLSL",
            Self::Glsl => "GLSL",
        }
    }
}

impl Shader {
    /// Translates the kernel to text for a platform; SPIR-V, which is binary, is listed with one
    /// instruction per line.
    ///
    /// # Errors
    ///
    /// Returns the translator's error if the target cannot express the kernel.
    pub fn emit(&self, target: Target) -> Result<String> {
        match target {
            Target::Wgsl => Ok(self.text.clone()),
            Target::Spirv => Ok(listing(&self.spirv()?)),
            Target::Msl => self.msl(),
            Target::Hlsl => self.hlsl(),
            Target::Glsl => self.glsl(),
        }
    }

    /// Translates the kernel to SPIR-V words, which are little-endian in a file.
    ///
    /// # Errors
    ///
    /// As for [`Shader::emit`].
    pub fn spirv(&self) -> Result<Vec<u32>> {
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

    fn glsl(&self) -> Result<String> {
        // OpenGL numbers storage buffers and uniforms separately.
        let (mut next, mut binding_map) = ([0; 2], glsl::BindingMap::default());
        for (index, bound) in self.bindings.iter().enumerate() {
            let next = &mut next[usize::from(bound.access == Access::Uniform)];
            binding_map.insert(resource(index), *next);
            *next += 1;
        }
        let options = glsl::Options { binding_map, zero_initialize_workgroup_memory: false, ..Default::default() };
        let pipeline = glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: MAIN.to_string(),
            multiview: None,
        };
        let mut text = String::new();
        let unchecked = BoundsCheckPolicies::default(); // GLSL itself has no other
        glsl::Writer::new(&mut text, &self.module, &self.info, &options, &pipeline, unchecked)
            .and_then(|mut writer| writer.write())
            .map_err(self.refused(Target::Glsl))?;
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

/// Lists SPIR-V as lines with the name of the instruction, its operand words as numbers, and
/// strings. It does not distinguish results from types, as a disassembler does.
fn listing(words: &[u32]) -> String {
    const HEADER_WORDS: usize = 5;
    let (mut text, mut at) = (String::new(), HEADER_WORDS);
    if let [magic, version, _, bound, _, ..] = words {
        let (major, minor) = (version >> 16 & 0xff, version >> 8 & 0xff);
        let _ = writeln!(text, "; SPIR-V {major}.{minor}, magic {magic:#x}, ids below {bound}, {} words", words.len());
    }
    while let Some(first) = words.get(at) {
        let (opcode, length) = (first & 0xffff, (first >> 16).max(1) as usize);
        let operands = &words[at + 1..(at + length).min(words.len())];
        let op = spirv::Op::from_u32(opcode);
        text += &op.map_or_else(|| format!("Op{opcode}"), |op| format!("Op{op:?}"));
        // The index of the operand at which a string starts.
        let string_at = match op {
            Some(spirv::Op::String | spirv::Op::Name | spirv::Op::ExtInstImport) => 1,
            Some(spirv::Op::MemberName | spirv::Op::EntryPoint) => 2,
            Some(spirv::Op::Extension) => 0,
            _ => operands.len(),
        };
        let (numbers, rest) = operands.split_at(string_at.min(operands.len()));
        numbers.iter().for_each(|number| text += &format!(" {number}"));
        if !rest.is_empty() {
            let bytes: Vec<u8> = rest.iter().flat_map(|word| word.to_le_bytes()).collect();
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            text += &format!(" {:?}", String::from_utf8_lossy(&bytes[..end]));
            rest.iter().skip(end / 4 + 1).for_each(|number| text += &format!(" {number}"));
        }
        text.push('\n');
        at += length;
    }
    text
}
