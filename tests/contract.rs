//! Contract of every kernel, checked without a device: it is valid baseline WebGPU, it declares the
//! bindings of its launch, it stays within the default limits, and it translates to the languages
//! of Vulkan, Metal, DX12 and browsers.
//!
//! Kernels come from every sample of every operation and from the plans of all built-in recipes,
//! for both device classes (`common/kernels.rs`).
#![allow(clippy::unwrap_used)]

#[path = "common/kernels.rs"]
mod kernels;
#[path = "contract/metal.rs"]
mod metal;
#[path = "contract/uniformity.rs"]
mod uniformity;

use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::Node;
use halfwave::kernel::{Binding, Kernel, Launch, Operand, Program, fold};
use halfwave::ops::{self, Graph, Op};
use halfwave::pass::{self, ImageInput, Loss, Optimizer};
use halfwave::plan::lower;
use halfwave::recipe::Recipe;
use halfwave::shader::{Shader, Target};
use halfwave::tensor::Encoding;
use kernels::CLASSES;
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Module, Scalar, StorageAccess, TypeInner};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// WebGPU's default limits.
const MAX_STORAGE_BUFFERS: usize = 8;
const MAX_UNIFORMS: usize = 12;
const MAX_WORKGROUP_BYTES: u32 = 16 << 10;
/// Limit for kernels on cooperative matrices, which state their requirements: above it an NVIDIA
/// H200 is a third slower.
const MAX_COOP_BYTES: u32 = 24 << 10;
const MAX_INVOCATIONS: u32 = 256;
const MAX_UNIFORM_BYTES: usize = 64 << 10;

/// Recipes whose kernels have realistic shapes.
const RECIPES: [(&str, &str); 3] = [
    ("digits", include_str!("../assets/recipes/digits.toml")),
    ("digits-float", include_str!("../assets/recipes/digits-float.toml")),
    ("vgg-small", include_str!("../assets/recipes/vgg-small.toml")),
];

/// Visits the programs of every case for both classes, with the nodes that they compute.
fn programs(mut visit: impl FnMut(&Graph, &[Node<Op>], &Program)) {
    for case in ops::fusion::cases() {
        let (graph, unit) = case.graph();
        let devices = CLASSES.into_iter().map(Caps::baseline).chain(kernels::coop_caps());
        for (_, caps) in devices.flat_map(|caps| case.variants(&caps)) {
            let program = ops::fusion::program(&graph, unit.clone(), &caps);
            visit(&graph, &graph.nodes()[unit.clone()], &program);
        }
    }
}

/// SwiftShader turns a kernel with a barrier into a coroutine: reductions took 100 to 500 ms to
/// compile, the others 20 to 60.
#[test]
fn register_kernels_have_no_barriers_and_no_workgroup_memory() {
    let mut seen = [0, 0];
    for (class, count) in CLASSES.into_iter().zip(&mut seen) {
        for (name, text) in RECIPES {
            let model = Recipe::parse(text, name).unwrap().model;
            let graph = pass::training(
                &model,
                16,
                &ImageInput::Floats,
                &Loss::default(),
                &Optimizer::sgd(0.05, 0.9, 5e-4),
                true,
            )
            .unwrap();
            for kernel in lower(&graph, &Caps::baseline(class)).unwrap().kernels {
                let wgsl = kernel.wgsl();
                let shared = wgsl.contains("workgroupBarrier") || wgsl.contains("var<workgroup>");
                assert!(!shared || class == DeviceClass::Gpu, "{} has a barrier or workgroup memory", kernel.label);
                *count += usize::from(shared);
            }
        }
    }
    assert!(seen[1] > 5, "the tiled kernels should have some: {seen:?}");
}

fn compile(wgsl: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    // No capabilities that a browser might lack, except half floats and cooperative matrices for
    // kernels that declare them.
    let enabled = |name: &str| wgsl.contains(&format!("enable {name};"));
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SHADER_FLOAT16, enabled("f16"));
    // WGSL always has these; one of naga's targets may lack them.
    capabilities.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, wgsl.contains("pack2x16float"));
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, enabled("wgpu_cooperative_matrix"));
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
    let info = info.map_err(|error| error.emit_to_string(wgsl))?;
    Ok((module, info))
}

/// Bytes and scalar type of one array element, deliberately defined independently of the code under
/// test.
fn element(encoding: Encoding) -> (u32, Scalar) {
    match encoding {
        Encoding::F32 => (16, Scalar::F32),
        Encoding::I32 => (16, Scalar::I32),
        Encoding::U32 => (16, Scalar::U32),
        Encoding::I16 | Encoding::F16 => (8, Scalar::U32),
        Encoding::Planes(_) => (4, Scalar::U32),
    }
}

fn scalar_of(inner: &TypeInner) -> Option<Scalar> {
    match *inner {
        TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } | TypeInner::Atomic(scalar) => Some(scalar),
        _ => None,
    }
}

/// Compares bindings, uniform and entry point of the module with the Rust side.
fn check_reflection(kernel: &Kernel, module: &Module, info: &ModuleInfo) {
    let label = &kernel.label;
    let [entry] = module.entry_points.as_slice() else { panic!("{label} has not one entry point") };
    assert_eq!((entry.name.as_str(), entry.workgroup_size), ("main", [kernel.threads, 1, 1]), "{label}");
    let uses = info.get_entry_point(0);
    let mut bound = BTreeMap::new();
    for (handle, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        assert_eq!(binding.group, 0, "{label}");
        assert!(bound.insert(binding.binding as usize, (handle, variable)).is_none(), "{label} binds one index twice");
    }
    let fields: Vec<_> = kernel.uniform().collect();
    let expected = kernel.bindings.len() + usize::from(!fields.is_empty());
    assert_eq!(bound.keys().copied().collect::<Vec<_>>(), (0..expected).collect::<Vec<_>>(), "{label}");
    for (index, binding) in kernel.bindings.iter().enumerate() {
        let (handle, variable) = bound[&index];
        let what = format!("{label}, binding {index} ({})", binding.name);
        assert_eq!(variable.name.as_deref(), Some(binding.name), "{what}");
        let access = if binding.write { StorageAccess::LOAD | StorageAccess::STORE } else { StorageAccess::LOAD };
        let space = if binding.uniform.is_some() { AddressSpace::Uniform } else { AddressSpace::Storage { access } };
        assert_eq!(variable.space, space, "{what}");
        let TypeInner::Array { base, size, stride } = module.types[variable.ty].inner else {
            panic!("{what}: no array")
        };
        let expected =
            binding.uniform.map_or(ArraySize::Dynamic, |quads| ArraySize::Constant(quads.try_into().unwrap()));
        assert_eq!(size, expected, "{what}");
        assert!(binding.uniform.is_none() || !binding.write, "{what} is written");
        let scalar = scalar_of(&module.types[base].inner).unwrap_or_else(|| panic!("{what}: no numbers"));
        let expected = if binding.is_atomic() { (4, Scalar::U32) } else { element(binding.encoding) };
        assert_eq!((stride, scalar), expected, "{what}");
        let needed = if binding.write { GlobalUse::WRITE } else { GlobalUse::READ };
        assert!(uses[handle].contains(needed), "{what} is bound for nothing: main does not use it so");
    }
    if fields.is_empty() {
        return;
    }
    let (_, variable) = bound[&kernel.bindings.len()];
    assert_eq!(variable.space, AddressSpace::Uniform, "{label}");
    let TypeInner::Struct { members, span } = &module.types[variable.ty].inner else { panic!("{label}: no struct") };
    assert_eq!(members.len(), fields.len(), "{label}");
    assert!(*span as usize <= MAX_UNIFORM_BYTES && *span as usize <= (4 * members.len()).next_multiple_of(16));
    for (index, (member, (name, ty))) in members.iter().zip(&fields).enumerate() {
        assert_eq!((member.name.as_deref(), member.offset), (Some(*name), 4 * index as u32), "{label}");
        let expected = match *ty {
            "f32" => Scalar::F32,
            "i32" => Scalar::I32,
            "u32" => Scalar::U32,
            other => panic!("{label}: {name} is a {other}"),
        };
        assert_eq!(scalar_of(&module.types[member.ty].inner), Some(expected), "{label}, {name}");
    }
}

fn check_limits(kernel: &Kernel, module: &Module) {
    let label = &kernel.label;
    let buffers = kernel.storage_buffers();
    assert!(buffers <= MAX_STORAGE_BUFFERS, "{label} binds {buffers} buffers");
    let uniforms = kernel.bindings.len() - buffers + 1;
    assert!(uniforms <= MAX_UNIFORMS, "{label} binds {uniforms} uniforms");
    assert!((1..=MAX_INVOCATIONS).contains(&kernel.threads), "{label} has {} invocations", kernel.threads);
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    let bytes: u32 = shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
    assert!(
        bytes <= if kernel.coop { MAX_COOP_BYTES } else { MAX_WORKGROUP_BYTES },
        "{label} takes {bytes} bytes of workgroup memory"
    );
}

/// Vulkan, Metal, DX12 and browsers must be able to read it, and naga's output must parse again.
fn check_translations(kernel: &Kernel, module: &Module, info: &ModuleInfo) {
    let label = &kernel.label;
    let shader = Shader::of(kernel).unwrap_or_else(|error| panic!("{error}"));
    // DX12 has no cooperative matrices, Metal those of 8 × 8.
    let has = |target: &Target| match target {
        Target::Hlsl => !kernel.coop,
        Target::Msl => !kernel.wgsl().contains("coop_mat16x16"),
        Target::Wgsl | Target::Spirv => true,
    };
    for target in Target::ALL.into_iter().filter(has) {
        let bytes = shader.emit(target).unwrap_or_else(|error| panic!("{error}"));
        let text = String::from_utf8_lossy(&bytes);
        let entry = match target {
            Target::Wgsl => "@compute @workgroup_size(",
            Target::Spirv => "\x03\x02\x23\x07", // the magic number of a file
            Target::Msl => "kernel void main_",
            Target::Hlsl => "[numthreads(",
        };
        assert!(text.contains(entry), "{label} to {}: no entry point", target.name());
        if target == Target::Hlsl {
            // naga adds helper functions. FXC rejects duplicate definitions, and most machines have
            // no FXC.
            let mut defined = HashSet::new();
            for line in text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic())) {
                let is_function = line.contains('(') && !line.ends_with(';');
                assert!(!is_function || defined.insert(line), "{label} to HLSL: twice {line}");
            }
            assert!(!defined.is_empty(), "{label} to HLSL: no function");
        }
    }
    let wgsl = naga::back::wgsl::write_string(module, info, naga::back::wgsl::WriterFlags::empty());
    let wgsl = wgsl.unwrap_or_else(|error| panic!("{label} to WGSL: {error}"));
    compile(&wgsl).unwrap_or_else(|error| panic!("{label} to WGSL and back: {error}"));
}

#[test]
fn every_kernel_keeps_the_contract() {
    let (kernels, mut barriers) = (kernels::all(), 0);
    for kernel in &kernels {
        let wgsl = kernel.wgsl();
        let (module, info) = compile(&wgsl).unwrap_or_else(|error| panic!("{}: {error}", kernel.label));
        check_reflection(kernel, &module, &info);
        check_limits(kernel, &module);
        check_translations(kernel, &module, &info);
        barriers += uniformity::barriers(&module).unwrap_or_else(|error| panic!("{}: {error}", kernel.label));
    }
    let labels: BTreeSet<_> = kernels.iter().map(|kernel| kernel.label.as_str()).collect();
    println!("{} kernels checked, {} labels, {barriers} barriers", kernels.len(), labels.len());
    assert!(kernels.len() >= 100 && barriers > 0, "only {} kernels, {barriers} barriers", kernels.len());
}

#[test]
fn every_launch_fits_its_kernel() {
    programs(|graph, nodes, program| {
        program.launches.iter().for_each(|launch| check_launch(graph, nodes, launch, &program.scratch_words));
    });
}

fn check_launch(graph: &Graph, nodes: &[Node<Op>], launch: &Launch, scratch_words: &[usize]) {
    let (label, kernel) = (&launch.kernel.label, &launch.kernel);
    let stem = nodes[0].op.stem();
    let rest = label.strip_prefix(stem).unwrap_or_else(|| panic!("{label} does not begin with {stem}"));
    assert!(rest.is_empty() || rest.starts_with('_'), "{label} does not begin with {stem}");
    assert_eq!(launch.operands.len(), kernel.bindings.len(), "{label}");
    assert_eq!(launch.params.len(), kernel.fields.len(), "{label}");
    assert!(launch.groups > 0, "{label} launches nothing");
    let [x, y] = fold(launch.groups, 65_535);
    assert!(x as usize * y as usize >= launch.groups, "{label}");
    let names: BTreeSet<_> = kernel.bindings.iter().map(|binding| binding.name).collect();
    assert_eq!(names.len(), kernel.bindings.len(), "{label} has two bindings of one name");
    let mut values = Vec::new();
    for (binding, operand) in kernel.bindings.iter().zip(&launch.operands) {
        let what = format!("{label}, {}", binding.name);
        let mut reads = |node: &Node<Op>, index: usize| {
            assert_eq!(binding.encoding, graph.ty(node.inputs[index]).encoding, "{what}");
            assert!(binding.uniform.is_none() || graph.ty(node.inputs[index]).words() == 4, "{what} is no quad");
            assert!(!binding.write, "{what} writes an input");
            values.push(node.inputs[index]);
        };
        match *operand {
            Operand::Input(index) => reads(&nodes[0], index),
            Operand::InputOf(behind, index) => reads(&nodes[behind], index),
            Operand::Output => assert_eq!(binding.encoding, nodes[0].ty.encoding, "{what}"),
            Operand::OutputOf(behind) => {
                assert!(behind > 0, "{what}: the first node's output is Output");
                assert_eq!(binding.encoding, nodes[behind].ty.encoding, "{what}");
            }
            Operand::Scratch(index) => assert!(scratch_words[index] > 0, "{what}"),
            Operand::Fault => assert!(binding.is_fault(), "{what}"),
            Operand::Scales | Operand::Seen => panic!("{what}: an operation knows nothing of how values are stored"),
        }
    }
    // WebGPU does not allow a buffer to be bound twice if one of the bindings is written.
    let distinct: HashSet<_> = launch.operands.iter().collect();
    assert_eq!(distinct.len(), launch.operands.len(), "{label} binds an operand twice");
    let distinct: HashSet<_> = values.iter().collect();
    assert_eq!(distinct.len(), values.len(), "{label} binds a value twice");
    assert!(kernel.bindings.iter().any(|binding| binding.write), "{label} writes nothing");
}

#[test]
fn every_program_writes_all_outputs_and_all_of_its_scratch() {
    programs(|_, nodes, program| {
        let stem = nodes[0].op.stem();
        let mut written = HashSet::new();
        for launch in &program.launches {
            for (binding, operand) in launch.kernel.bindings.iter().zip(&launch.operands) {
                let scratch = matches!(operand, Operand::Scratch(_));
                let known = binding.write || !scratch || written.contains(operand);
                assert!(known, "{} reads scratch before it is written", launch.kernel.label);
            }
            let bindings = launch.kernel.bindings.iter().zip(&launch.operands);
            let writes = |(binding, operand): &(&Binding, &Operand)| binding.write && **operand != Operand::Fault;
            written.extend(bindings.filter(writes).map(|(_, operand)| *operand));
        }
        let outputs = (0..nodes.len()).map(|at| if at == 0 { Operand::Output } else { Operand::OutputOf(at) });
        outputs.for_each(|output| assert!(written.contains(&output), "{stem} does not write {output:?}"));
        assert_eq!(written.len(), nodes.len() + program.scratch_words.len(), "{stem}: unused scratch");
    });
}

#[test]
fn every_operation_has_a_sample_and_a_launch() {
    // The list as written in src/ops/mod.rs, so that no operation is omitted.
    let source = include_str!("../src/ops/mod.rs");
    let list = source.split("ops! {").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
    let named: Vec<_> = list.split(',').filter_map(|entry| entry.trim().split_once("::")).collect();
    let mut launched: BTreeMap<&str, usize> = BTreeMap::new();
    programs(|_, nodes, program| *launched.entry(nodes[0].op.stem()).or_default() += program.launches.len());
    println!("{} operations with launches: {launched:?}", launched.len());
    assert!(named.contains(&("leaf", "Leaf")) && named.len() >= 30, "{named:?}");
    assert_eq!(launched.len(), named.len() - 1, "every operation but leaf has a stem of its own and launches");
    for (_, name) in named {
        let stem: String = name
            .char_indices()
            .flat_map(|(i, c)| [(i > 0 && c.is_uppercase()).then_some('_'), Some(c.to_ascii_lowercase())])
            .flatten()
            .collect();
        // The step of an update rule has the rule's name.
        let stem = stem.strip_suffix("_step").unwrap_or(&stem);
        assert_eq!(launched.contains_key(stem), stem != "leaf", "{stem}");
    }
}

/// Returns the complete WGSL of a kernel around a body, to test the checks.
fn module(body: &'static str) -> Module {
    let launch = Launch::new("probe", &["var<workgroup> shared_words: array<u32, 64>;", body])
        .read("x", Encoding::U32, Operand::Input(0))
        .write("y", Encoding::U32, Operand::Output);
    compile(&launch.kernel.wgsl()).unwrap().0
}

#[test]
fn barriers_in_non_uniform_control_flow_are_found() {
    let with = |body: &str| -> Module {
        let text = format!("@main {{ shared_words[thread] = 1u; {body} y_put(0u, x_at(group.x)); }}");
        module(String::leak(text))
    };
    let uniform = [
        "if (group.x == 3u) { return; } workgroupBarrier();",
        "for (var i = 0u; i < x_at(0u).x; i++) { workgroupBarrier(); }",
        "for (var i = 32u; i > 0u; i >>= 1u) { if (thread < i) { shared_words[thread] = i; } workgroupBarrier(); }",
        "for (var i = 32u; i > 0u; i >>= 1u) { for (var j = 0u; j < i; j += 64u) { if (j + thread < i) { shared_words[j + thread] = i; } } workgroupBarrier(); }",
        "for (var i = thread; i < 9u; i += 64u) { shared_words[i] = 2u; } workgroupBarrier();",
        "if (thread < 3u) { shared_words[0] = 2u; } workgroupBarrier();",
        "for (var i = 0u; i < 9u; i++) { if (thread == i) { break; } } workgroupBarrier();",
    ];
    for body in uniform {
        assert_eq!(uniformity::barriers(&with(body)), Ok(1), "{body}");
    }
    let parted = [
        "if (thread < 3u) { workgroupBarrier(); }",
        "if (thread < 3u) { return; } workgroupBarrier();",
        "for (var i = 0u; i < thread; i++) { workgroupBarrier(); }",
        "for (var i = 0u; i < 9u; i++) { workgroupBarrier(); if (thread == i) { break; } }",
        "var n = 1u; if (thread == 3u) { n = 2u; } if (n == 2u) { workgroupBarrier(); }",
        "if (shared_words[0] == 1u) { workgroupBarrier(); }",
        "for (var i = 32u; i > 0u; i >>= 1u) { for (var j = thread; j < i; j += 64u) { shared_words[j] = i; } workgroupBarrier(); }",
        "for (var i = thread; i < 9u; i++) { if (x_at(i).x == 1u) { return; } } workgroupBarrier();",
    ];
    for body in parted {
        assert!(uniformity::barriers(&with(body)).is_err(), "{body}");
    }
}

/// Validation with a browser's compiler, if it is installed.
#[test]
fn tint_accepts_every_kernel() {
    if std::process::Command::new("tint").arg("--help").output().is_err() {
        eprintln!("SKIPPED: tint is not installed; only naga and the checks above were used");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut kernels, mut refused) = (kernels::all(), Vec::new());
    kernels.retain(|kernel| !kernel.coop); // no browser has cooperative matrices
    for kernel in &kernels {
        let path = folder.path().join("kernel.wgsl");
        std::fs::write(&path, kernel.wgsl()).unwrap();
        let output = std::process::Command::new("tint").args(["--format", "wgsl"]).arg(&path).output().unwrap();
        if !output.status.success() {
            refused.push(format!("{}: {}", kernel.label, String::from_utf8_lossy(&output.stderr)));
        }
    }
    println!("tint was given {} kernels", kernels.len());
    assert!(refused.is_empty(), "tint refuses {} kernels:\n{}", refused.len(), refused.join("\n"));
}
