//! Static analysis of kernels: instruction mixes compared with manual counts, and `halfwave shader`
//! on the command line.
#![allow(clippy::unwrap_used)] // a test may panic

use halfwave::caps::{Caps, Coop, DeviceClass};
use halfwave::kernel::{Kernel, Launch, Operand};
use halfwave::ops;
use halfwave::shader::{Access, Counts, InstructionKind, Shader, Space};
use halfwave::tensor::Encoding;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CLASSES: [DeviceClass; 2] = [DeviceClass::Software, DeviceClass::Gpu];

/// Returns every kernel of every sample, by operation and device class.
fn kernels() -> Vec<(&'static str, DeviceClass, Kernel)> {
    let mut all = Vec::new();
    for case in ops::fusion::cases() {
        let (graph, unit) = case.graph();
        let stem = graph.nodes()[unit.start].op.stem();
        for class in CLASSES {
            let variants = case.variants(&Caps::baseline(class)).into_iter();
            // The tilings of the heavy operations are those of the other class.
            for (_, caps) in variants {
                let launches = ops::fusion::program(&graph, unit.clone(), &caps).launches;
                all.extend(launches.into_iter().map(|launch| (stem, class, launch.kernel)));
            }
        }
    }
    all
}

fn sample(label: &str) -> Shader {
    let (_, _, kernel) = kernels().into_iter().find(|(_, _, kernel)| kernel.label == label).unwrap();
    Shader::of(&kernel).unwrap()
}

/// Formats operations by kind, and loads, their bytes, stores and their bytes by space, without
/// zeros.
type Told = (Vec<(InstructionKind, u64)>, Vec<(Space, [u64; 4])>);

fn told(counts: &Counts) -> Told {
    let operations =
        InstructionKind::ALL.map(|kind| (kind, counts.of(kind))).into_iter().filter(|(_, count)| *count > 0);
    let traffic = Space::ALL.map(|space| {
        let (loads, stores) = (counts.loads(space), counts.stores(space));
        (space, [loads.count, loads.bytes, stores.count, stores.bytes])
    });
    (operations.collect(), traffic.into_iter().filter(|(_, traffic)| *traffic != [0; 4]).collect())
}

#[test]
fn elementwise_kernels_are_counted_by_hand() {
    use InstructionKind::*;
    // i = (id.y * count.x + id.x) * THREADS + thread is 4 integer operations; then i < p.quads, one
    // uniform load, one condition.
    let shader = sample("add");
    let operations = vec![(Float, 4), (Integer, 4), (Compare, 1), (Branch, 1)];
    let traffic = vec![(Space::Storage, [2, 32, 1, 16]), (Space::Uniform, [1, 4, 0, 0])];
    assert_eq!(told(shader.mix.outside()), (operations, traffic));
    let access: Vec<_> = shader.bindings.iter().map(|bound| bound.access).collect();
    assert_eq!(access, [Access::Read, Access::Read, Access::Write, Access::Uniform]);
    assert!(shader.bindings[..3].iter().all(|bound| bound.element == "vec4<f32>"));
    assert_eq!(shader.bindings[3].element_bytes, 4);

    // The check of dy: 4 bit casts, 4 times and, 4 comparisons and 4 operations that combine them,
    // a condition, the rank, and the atomic maximum of one word; then y > 0 and the select.
    let checked = sample("relu_backward");
    let operations = vec![(Integer, 9), (Convert, 4), (Compare, 17), (Branch, 2)];
    let traffic = vec![(Space::Storage, [3, 36, 2, 20]), (Space::Uniform, [2, 8, 0, 0])];
    assert_eq!(told(checked.mix.outside()), (operations, traffic));
    assert_eq!(checked.bindings.last().unwrap().element_bytes, 8);
    for shader in [shader, checked] {
        assert_eq!(shader.mix.by_depth().len(), 1);
        assert_eq!((shader.threads, shader.workgroup_bytes), (64, 0));
        assert_eq!(shader.outputs_per_invocation(1024, [4, 1]), 4.0);
    }
}

#[test]
fn the_sign_kernel_is_counted_by_hand() {
    use InstructionKind::*;
    let shader = sample("sign");
    let [outside, inside] = shader.mix.by_depth() else { panic!("{:?}", shader.mix) };
    // item 4 · column 1 · tap_word 1 · taps * words 1 · tap 1 · first 3 · last 3 · from_row 1 ·
    // filter_index 1 + 4 lanes; compared: the guard, 4 lanes of filter_index, 4 of the select; p is
    // read 9 times; c is stored, bits loaded.
    let operations = vec![(Integer, 20), (Compare, 9), (Branch, 1), (Loop, 1)];
    let traffic = vec![(Space::Storage, [0, 0, 1, 16]), (Space::Uniform, [9, 36, 0, 0]), (Space::Local, [1, 16, 1, 4])];
    assert_eq!(told(outside), (operations, traffic));
    // Eight times: the channel 2 · index of w 3 · 1 << (c - first) 2 · or 4 lanes; 4 lanes of >=, 4
    // of select. c += 8 and the test once. c is loaded by the test, by each channel and by c += 8,
    // bits by each or; both are stored.
    let operations = vec![(Integer, 89), (Compare, 65), (Branch, 1)];
    let traffic =
        vec![(Space::Storage, [8, 128, 0, 0]), (Space::Uniform, [8, 32, 0, 0]), (Space::Local, [18, 168, 9, 132])];
    assert_eq!(told(inside), (operations, traffic));
    assert_eq!(shader.mix.innermost(), inside);
    assert_eq!(shader.mix.total().of(Integer), 109);
}

#[test]
fn every_kind_of_instruction_is_found() {
    use InstructionKind::*;
    let text = "
        var<workgroup> shared_words: array<vec2<u32>, 64>;
        fn twice(v: vec4<f32>) -> vec4<f32> { return fma(v, v, v) * 2.0; }
        @main {
            shared_words[thread] = vec2<u32>(thread, countOneBits(thread));
            workgroupBarrier();
            var sum = vec4<f32>();
            for (var i = 0u; i < 3u; i++) { sum += twice(x_at(i)); }
            for (var r = 0u; r < shared_words[63u - thread].x; r++) {
                for (var s = 0u; s < 2u; s++) { sum.x += sqrt(sum.y); }
                sum.z += f32(dot4I8Packed(r, thread));
                if (all(sum == x_at(r))) { sum.w = -sum.w; }
            }
            y_put(thread, sum);
        }";
    let launch = Launch::new("probe", &[text])
        .read("x", Encoding::F32, Operand::Input(0))
        .write("y", Encoding::F32, Operand::Output)
        .workgroup(32);
    let shader = Shader::of(&launch.kernel).unwrap();
    assert_eq!((shader.threads, shader.workgroup_bytes), (32, 512));
    let [outside, inside] = shader.mix.by_depth() else { panic!("{:?}", shader.mix) };
    // Three rounds of: twice (4 fma, 4 float), + 4 float, i++; the loop's test; sum and i loaded
    // twice each and stored. Around them the store and the load of sum, r = 0 at its declaration.
    let (operations, traffic) = told(outside);
    let expected =
        [(Float, 24), (Fma, 12), (Integer, 3), (Popcount, 1), (Compare, 3), (Barrier, 1), (Branch, 3), (Loop, 2)];
    assert_eq!(operations, expected);
    let expected = [
        (Space::Storage, [3, 48, 1, 16]),
        (Space::Workgroup, [0, 0, 1, 8]),
        (Space::Local, [3 * 4 + 1, 3 * (16 + 3 * 4) + 16, 3 * 2, 3 * (16 + 4)]),
    ];
    assert_eq!(traffic, expected);
    // 63u - thread, r++, two rounds of s++; the tests of r and s (twice), == of 4 lanes, all of 4
    // lanes.
    let (operations, traffic) = told(inside);
    let expected = [
        (Float, 2 + 1 + 1),
        (Special, 2),
        (Integer, 2 + 2),
        (PackedDot, 1),
        (Convert, 1),
        (Compare, 1 + 2 + 4 + 4),
        (Branch, 1 + 2 + 1),
        (Loop, 1),
    ];
    assert_eq!(operations, expected);
    assert_eq!(traffic[..2], [(Space::Storage, [1, 16, 0, 0]), (Space::Workgroup, [1, 4, 0, 0])]);
}

/// Counts of a kernel on cooperative matrices, per step: products computed by a subgroup and
/// matrices loaded; for 64 products, the other operations of an invocation and the quads of halves
/// that it stores in workgroup memory; barriers; and the kernel's bytes of workgroup memory.
type OnMatrices = [u64; 6];

/// Instructions of the loop over a kernel's steps, for one iteration; and of the loop before it,
/// which reads the maximum of an operand (four floats, and the loop overhead).
fn on_matrices(stem: &str, coop: Coop) -> OnMatrices {
    let caps = Caps { coop: Some(coop), f16: true, workgroup_bytes: 32 << 10, ..Caps::baseline(DeviceClass::Gpu) };
    let label = format!("{stem}_coop{}", coop.size);
    let cases = ops::fusion::cases().into_iter().filter(|case| case.name == stem);
    let kernels = cases.flat_map(|case| {
        let ((graph, unit), variants) = (case.graph(), case.variants(&caps));
        let launches =
            variants.into_iter().map(move |(_, caps)| ops::fusion::program(&graph, unit.clone(), &caps).launches);
        launches.flatten().map(|launch| launch.kernel).collect::<Vec<_>>()
    });
    // For codes with two bits, if there are any.
    let two_bits =
        |kernel: &Kernel| kernel.constants.iter().find(|(name, _)| *name == "TWO_BITS").map(|(_, bits)| *bits);
    let kernel = kernels.filter(|kernel| kernel.label == label).max_by_key(two_bits).unwrap();
    let shader = Shader::of(&kernel).unwrap();
    let step = shader.mix.innermost();
    let products = step.of(InstructionKind::MatrixProduct);
    let arithmetic = [
        InstructionKind::Float,
        InstructionKind::Fma,
        InstructionKind::Special,
        InstructionKind::Integer,
        InstructionKind::Convert,
        InstructionKind::Compare,
    ];
    let others: u64 = arithmetic.into_iter().map(|kind| step.of(kind)).sum();
    let per_64 = |count: u64| (64 * count).div_ceil(products);
    [
        products,
        step.of(InstructionKind::MatrixMove),
        per_64(others),
        per_64(step.stores(Space::Workgroup).count),
        step.of(InstructionKind::Barrier),
        u64::from(shader.workgroup_bytes),
    ]
}

/// The kernels on matrices of 16 × 16 with subgroups of 32 (NVIDIA), and of 8 × 8 with 8
/// (lavapipe).
const ON_MATRICES: [(Coop, [(&str, OnMatrices); 6]); 2] = [
    (
        Coop { size: 16, subgroup: 32, emulated: false },
        [
            ("bconv", [32, 16, 678, 32, 2, 24_576]),
            ("bconv_dx", [32, 12, 986, 32, 2, 20_736]),
            ("bconv_dw", [32, 12, 840, 32, 2, 17_152]),
            ("conv", [24, 12, 1174, 32, 2, 20_992]),
            ("conv_dx", [24, 12, 1254, 32, 2, 22_528]),
            ("conv_dw", [48, 16, 859, 22, 2, 21_504]),
        ],
    ),
    (
        Coop { size: 8, subgroup: 8, emulated: false },
        [
            ("bconv", [64, 32, 664, 32, 2, 11_264]),
            ("bconv_dx", [64, 24, 825, 24, 2, 9472]),
            ("bconv_dw", [64, 24, 660, 24, 2, 7936]),
            ("conv", [48, 24, 1139, 32, 2, 9728]),
            ("conv_dx", [48, 24, 1219, 32, 2, 10_240]),
            ("conv_dw", [96, 32, 848, 22, 2, 10_240]),
        ],
    ),
];

/// The overhead of a product of matrices. Record any change here and in
/// `docs/measurements/2026-11-28-matrices.md`, whose table this test prints.
#[test]
fn matrices_need_so_much_beside_them() {
    let counted = ON_MATRICES.map(|(coop, expected)| (coop, expected.map(|(stem, _)| (stem, on_matrices(stem, coop)))));
    for (Coop { size, subgroup, .. }, kernels) in counted {
        println!("\nmatrices of {size} × {size}, subgroups of {subgroup}");
        for (stem, counts) in kernels {
            println!("| `{stem}_coop{size}` | {} |", counts.map(|count| count.to_string()).join(" | "));
        }
    }
    assert_eq!(counted, ON_MATRICES);
}

#[test]
fn kernels_have_what_their_names_promise() {
    let (mut counted, mut barriers) = (0, [0, 0]);
    for (stem, class, kernel) in kernels() {
        let shader = Shader::of(&kernel).unwrap_or_else(|error| panic!("{error}"));
        let (label, total) = (&kernel.label, shader.mix.total());
        assert!(total.stores(Space::Storage).count >= 1, "{label} stores nothing");
        let packed = ["bconv_registers", "bconv_tile64", "bconv_narrow"].contains(&label.as_str());
        assert_eq!(total.of(InstructionKind::Popcount) > 0, packed, "{label} of {stem}: popcounts");
        let shared = shader.workgroup_bytes > 0;
        assert_eq!(total.of(InstructionKind::Barrier) > 0, shared, "{label}: barriers come with workgroup memory");
        assert_eq!(total.loads(Space::Workgroup).count > 0, shared, "{label}: workgroup memory is for reading");
        assert!(!shared || class == DeviceClass::Gpu, "{label}: workgroup memory among the registers");
        barriers[usize::from(class == DeviceClass::Gpu)] += total.of(InstructionKind::Barrier);
        counted += 1;
    }
    assert!(counted > 200 && barriers[0] == 0 && barriers[1] > 50, "{counted} kernels, barriers {barriers:?}");
}

fn command(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfwave"));
    command.arg("shader").args(args).current_dir(dir).env_remove("RUST_LOG").stdin(Stdio::null());
    command.output().unwrap()
}

/// Returns the output and the notes of a command that must succeed.
fn run(dir: &Path, args: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = command(dir, args);
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{args:?}: {err}");
    (out, err)
}

/// Runs a command that must fail with one line that contains `parts`.
fn fails(dir: &Path, args: &[&str], parts: &[&str]) {
    let output = command(dir, args);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && err.starts_with("error: ") && err.lines().count() == 1,
        "{args:?}: {err}"
    );
    assert!(output.stdout.is_empty() && parts.iter().all(|part| err.contains(part)), "{args:?}: {err}");
}

#[test]
fn each_platform_gets_its_language() {
    let dir = tempfile::tempdir().unwrap();
    let kernel = ["bconv_narrow", "--layer", "conv2"];
    for (target, part) in
        [("wgsl", "@compute @workgroup_size(64)"), ("msl", "kernel void main_"), ("hlsl", "[numthreads(64, 1, 1)]")]
    {
        let args = [&kernel[..], &["--emit", target]].concat();
        let (out, err) = run(dir.path(), &args);
        assert!(out.contains(part) && err.is_empty(), "{target}: {err}\n{out}");
        let (printed, _) = run(dir.path(), &[&args[..], &["--out", target]].concat());
        assert!(printed.contains("bconv_narrow of conv2") && printed.contains("bytes"), "{printed}");
        assert_eq!(fs::read(dir.path().join(target)).unwrap(), out.as_bytes());
    }
    let binary = [&kernel[..], &["--emit", "spirv"]].concat();
    fails(dir.path(), &binary, &["SPIR-V is binary: add --out FILE"]);
    let (printed, _) = run(dir.path(), &[&binary[..], &["--out", "spirv"]].concat());
    let file = fs::read(dir.path().join("spirv")).unwrap();
    assert_eq!(file[..4], 0x0723_0203u32.to_le_bytes());
    assert!(printed.contains("SPIR-V") && file.len().is_multiple_of(4), "{printed}");
}

#[test]
fn several_kernels_of_a_name_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = run(dir.path(), &["bconv", "--emit", "wgsl"]);
    assert!(out.starts_with("// bconv_narrow\n"), "{out}");
    assert!(
        err.starts_with("note: this is bconv_narrow of conv2") && err.contains("bconv_registers of conv3"),
        "{err}"
    );
    assert!(err.contains("--layer and --device-class") && err.lines().count() == 1, "{err}");
    let (out, err) = run(dir.path(), &["bconv", "--device-class", "software", "--layer", "conv3", "--emit", "wgsl"]);
    assert!(out.starts_with("// bconv_registers\n") && out.contains("FILTERS: u32 = 64u") && err.is_empty(), "{err}");
    let (_, err) = run(dir.path(), &["--emit", "msl"]);
    assert!(err.contains(" more: choose with"), "{err}");
}

#[test]
fn kernels_are_listed_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (list, err) = run(dir.path(), &[]);
    assert!(err.is_empty() && list.starts_with("digits: "), "{err}{list}");
    let row = list.lines().find(|line| line.starts_with("bconv_registers ")).unwrap();
    assert!(["software", "popcount", "WORDS 1", "conv2"].iter().all(|part| row.contains(part)), "{row}");
    let both = list.lines().find(|line| line.starts_with("relu_normalised ")).unwrap();
    assert!(both.contains(" both ") && both.ends_with(" relu3"), "{both}");
    // The update of one layer in the same launch as another operation.
    let update = list.lines().find(|line| line.starts_with("sgd_velocity+sgd,")).unwrap();
    assert!(update.contains(" software ") && update.ends_with(" fc, bn3"), "{update}");
    let (tiled, _) = run(dir.path(), &["--device-class", "gpu", "--layer", "conv3"]);
    assert!(tiled.contains("\nbconv_narrow ") && !tiled.contains("registers") && !tiled.contains("softmax"), "{tiled}");

    let (view, err) = run(dir.path(), &["bconv_tile64", "--recipe", "vgg-small", "--layer", "conv2"]);
    assert!(err.is_empty() && view.matches("bconv_tile64, for devices of the class gpu").count() == 1, "{view}");
    for part in [
        "conv2, forward",
        "64 invocations, ",
        " of workgroup memory",
        "read_write  array<vec2<u32>>",
        "uniform     60 bytes",
        "in 3 loops / output",
        "known only at run time",
    ] {
        assert!(view.contains(part), "no {part} in\n{view}");
    }
    // An operation that the recipe does not use is shown with its samples.
    let (view, _) = run(dir.path(), &["add"]);
    assert!(view.contains("sample: f32[7], 1 workgroup, "), "{view}");
    let row = view.lines().find(|line| line.trim_start().starts_with("float")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["float", "4", "1.25"], "{view}");
    // So is a kernel that the recipe does not use.
    let (view, _) = run(dir.path(), &["bconv_tile64"]);
    assert!(view.starts_with("bconv_tile64, for devices of the class gpu") && view.contains("sample: "), "{view}");
}

#[test]
fn mistakes_are_one_line_of_advice() {
    let dir = tempfile::tempdir().unwrap();
    fails(dir.path(), &["bcomv"], &["there is no kernel bcomv", "did you mean \"bconv\"?", "softmax_cross_entropy"]);
    fails(dir.path(), &["zebra"], &["there is no kernel zebra", "operations are abc_alpha, "]);
    fails(dir.path(), &["relu", "--layer", "conv9"], &["no layer conv9 with relu", "relu3"]);
    fails(dir.path(), &["add", "--layer", "conv2"], &["digits has no add", "omit --layer"]);
    fails(dir.path(), &["--recipe", "nowhere.toml"], &["nowhere.toml: no such file"]);
    fails(dir.path(), &["sgd", "--emit", "msl", "--out", "no/such/folder"], &["no/such/folder: "]);
    let out = command(dir.path(), &["sgd", "--out", "x"]);
    assert_eq!(out.status.code(), Some(2), "--out asks for --emit");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
