//! Static analysis of kernels: what the source shows without running it on a device. Only in native
//! programs.
//!
//! [`Shader::of`] parses the WGSL of a [`Kernel`] with naga, the parser of every native backend of
//! wgpu, and reports the kernel's bindings, its workgroup memory and the instructions that an
//! invocation executes ([`InstructionMix`]). [`Shader::emit`] translates it for each platform.
//!
//! The source has no override constants: the constants of a kernel variant are written into it as
//! `const` when it is generated, so everything reported here applies to the kernel as it runs. Only
//! uniforms are unknown.
//!
//! **Invariant:** nothing here is an estimate: what the source does not determine (iteration counts
//! in uniforms, registers) is not reported.

mod count;
mod emit;
mod trips;

pub use count::{Counts, InstructionKind, InstructionMix, Space, Traffic};
pub use emit::Target;

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};

/// The parsed source of a kernel.
#[derive(Debug)]
pub struct Shader {
    /// The kernel's label.
    pub label: String,
    /// Workgroup size.
    pub threads: u32,
    /// Bytes of workgroup memory per workgroup.
    pub workgroup_bytes: u32,
    /// Buffers in the order of their binding numbers, including the uniform.
    pub bindings: Vec<Bound>,
    /// The instructions that an invocation executes.
    pub mix: InstructionMix,
    text: String,
    f16: bool,
    coop: bool,
    module: Module,
    info: ModuleInfo,
}

/// A buffer bound to a kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Its name in the source.
    pub name: String,
    /// How the kernel may access it.
    pub access: Access,
    /// The type of its elements in WGSL; for a uniform, the name of the struct.
    pub element: String,
    /// Stride of its elements in bytes; for a uniform, the size of the struct.
    pub element_bytes: u32,
}

/// How a kernel may access a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read-only storage.
    Read,
    /// Writable storage.
    Write,
    /// A uniform.
    Uniform,
}

impl Shader {
    /// Parses and validates a kernel's source, with only the capabilities that every browser has,
    /// plus half floats and cooperative matrices if the kernel requires them.
    ///
    /// # Errors
    ///
    /// Returns naga's error if the source is not valid, which is a bug in a shader.
    pub fn of(kernel: &Kernel) -> Result<Self> {
        let text = kernel.wgsl();
        let wrong = |message: String| Error::Model(format!("the kernel {} is not valid: {message}", kernel.label));
        let module = naga::front::wgsl::parse_str(&text).map_err(|error| wrong(error.emit_to_string(&text)))?;
        let needed = [
            (kernel.f16, Capabilities::SHADER_FLOAT16),
            // Part of WGSL, although one of naga's targets may lack it.
            (text.contains("pack2x16float"), Capabilities::SHADER_FLOAT16_IN_FLOAT32),
            (kernel.coop, Capabilities::COOPERATIVE_MATRIX),
        ];
        let capabilities = needed.into_iter().filter(|(needs, _)| *needs).map(|(_, capability)| capability).collect();
        let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
        let info = info.map_err(|error| wrong(error.emit_to_string(&text)))?;
        let entry = module.entry_points.first().ok_or_else(|| wrong("it has no @main".to_string()))?;
        let size = |ty| module.types[ty].inner.size(module.to_ctx());
        let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
        Ok(Self {
            label: kernel.label.clone(),
            threads: entry.workgroup_size.iter().product(),
            workgroup_bytes: shared.map(|(_, variable)| size(variable.ty)).sum(),
            bindings: bindings(&module),
            mix: InstructionMix::of(&module, &info),
            text,
            f16: kernel.f16,
            coop: kernel.coop,
            module,
            info,
        })
    }

    /// Returns the number of output elements per invocation, for `outputs_len` elements and the
    /// given number of workgroups.
    pub fn outputs_per_invocation(&self, outputs_len: usize, groups: [u32; 2]) -> f64 {
        let [x, y] = groups.map(f64::from);
        outputs_len as f64 / (x * y * f64::from(self.threads)).max(1.0)
    }
}

fn bindings(module: &Module) -> Vec<Bound> {
    let variables = module.global_variables.iter();
    let mut bound: Vec<_> = variables
        .filter_map(|(_, variable)| {
            let number = variable.binding?.binding;
            let access = match variable.space {
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::Write,
                AddressSpace::Storage { .. } => Access::Read,
                _ => Access::Uniform,
            };
            let ty = &module.types[variable.ty];
            let (element, element_bytes) = match ty.inner {
                TypeInner::Array { base, stride, .. } => (type_name(&module.types[base]), stride),
                _ => (type_name(ty), ty.inner.size(module.to_ctx())),
            };
            Some((number, Bound { name: variable.name.clone().unwrap_or_default(), access, element, element_bytes }))
        })
        .collect();
    bound.sort_by_key(|(number, _)| *number);
    bound.into_iter().map(|(_, bound)| bound).collect()
}

/// Returns the name of a type in WGSL.
fn type_name(ty: &naga::Type) -> String {
    let scalar = |scalar: naga::Scalar| {
        let letter = match scalar.kind {
            naga::ScalarKind::Float | naga::ScalarKind::AbstractFloat => 'f',
            naga::ScalarKind::Sint | naga::ScalarKind::AbstractInt => 'i',
            naga::ScalarKind::Uint => 'u',
            naga::ScalarKind::Bool => return "bool".to_string(),
        };
        format!("{letter}{}", 8 * scalar.width)
    };
    match ty.inner {
        TypeInner::Scalar(of) => scalar(of),
        TypeInner::Atomic(of) => format!("atomic<{}>", scalar(of)),
        TypeInner::Vector { size, scalar: of } => format!("vec{}<{}>", size as u8, scalar(of)),
        _ => ty.name.clone().unwrap_or_else(|| "a structure".to_string()),
    }
}
