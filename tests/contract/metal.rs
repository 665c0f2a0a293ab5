//! Metal without a Mac: clang type-checks every kernel's MSL against a stub of Metal's standard
//! library (`metal/metal_stdlib`).
//!
//! This finds undeclared names, duplicate declarations, missing overloads and wrong types. It
//! cannot prove that Metal's own compiler accepts the text: the stub has no address spaces.

use super::{compile, kernels};
use halfwave::shader::{Shader, Target};
use naga::back::msl;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Kernels per call of clang.
const BATCH: usize = 400;

/// Finds a clang that supports half floats on x86: 15 or later.
fn clang() -> Option<String> {
    let versions = (15..=22).rev().map(|version| format!("clang++-{version}"));
    std::iter::once("clang++".to_string()).chain(versions).find(|name| check(name, &probe("half x = 1.0h;")).is_ok())
}

/// Returns a text in the form of a kernel's.
fn probe(text: &str) -> String {
    source(&[("probe".to_string(), text.to_string())])
}

/// Returns kernels as one C++ source, each in its own namespace. In clang's messages a kernel's
/// label replaces the file name.
fn source(kernels: &[(String, String)]) -> String {
    let mut text = "#include <metal_stdlib>\n".to_string();
    for (index, (label, msl)) in kernels.iter().enumerate() {
        writeln!(text, "namespace kernel_{index} {{\n#line 1 \"{label}\"").unwrap();
        // A header must not be included inside a namespace.
        msl.lines()
            .for_each(|line| writeln!(text, "{}", if line.starts_with("#include") { "" } else { line }).unwrap());
        text.push_str("}\n");
    }
    text
}

/// Returns clang's errors for a source.
fn check(clang: &str, source: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernels.cpp");
    std::fs::write(&file, source).unwrap();
    let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/metal");
    let mut command = Command::new(clang);
    command.args(["-x", "c++", "-std=c++17", "-fsyntax-only", "-ferror-limit=20", "-Wno-everything"]);
    // In Metal, 1.0 is a float.
    command.args(["-Xclang", "-cl-single-precision-constant", "-I"]).arg(stub).arg(&file);
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Translates WGSL to a newer version of the language, in which packed dot products are written
/// differently.
fn new_msl(wgsl: &str) -> String {
    let (module, info) = compile(wgsl).unwrap();
    let options = msl::Options { lang_version: (3, 1), zero_initialize_workgroup_memory: false, ..Default::default() };
    msl::write_string(&module, &info, &options, &Default::default()).unwrap().0
}

/// Returns every kernel in the oldest version that wgpu writes, and in a newer one, except kernels
/// on cooperative matrices, whose types the stub lacks.
fn texts() -> Vec<(String, String)> {
    let texts = kernels::all().into_iter().filter(|kernel| !kernel.coop).flat_map(|kernel| {
        let old = String::from_utf8(Shader::of(&kernel).unwrap().emit(Target::Msl).unwrap()).unwrap();
        [(kernel.label.clone(), old), (format!("{} (MSL 3.1)", kernel.label), new_msl(&kernel.wgsl()))]
    });
    texts.collect()
}

#[test]
fn metal_type_checks_every_kernel() {
    let Some(clang) = clang() else {
        let required = std::env::var("REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "REQUIRE_GPU=1, but there is no clang 15 or later (tools/install-test-deps.sh installs one)"
        );
        return eprintln!(
            "SKIPPED: no clang 15 or later: no kernel's MSL is type-checked (tools/install-test-deps.sh)"
        );
    };
    let texts = texts();
    assert!(texts.len() > 2000, "only {} texts", texts.len());
    let failures: String = texts.chunks(BATCH).filter_map(|batch| check(&clang, &source(batch)).err()).collect();
    assert!(failures.is_empty(), "{failures}");
    println!("{clang} has checked {} texts", texts.len());
}

/// The check is as strict as Metal, and kernels are checked independently.
#[test]
fn metal_refuses_what_does_not_fit() {
    let Some(clang) = clang() else { return eprintln!("SKIPPED: no clang 15 or later") };
    let body = |statement: &str| {
        probe(&format!("kernel void main_(device metal::float4& x, constant uint& n, metal::int4 i) {{ {statement} }}"))
    };
    for good in ["x = x * 2.0;", "x = metal::max(x, 0.0);", "i = static_cast<metal::int4>(x);", "x.xyz = x.yzw;"] {
        assert_eq!(check(&clang, &body(good)), Ok(()), "{good}");
    }
    for (bad, reason) in [
        ("x = x * i;", "invalid operands"),
        ("x = i;", "no viable overloaded '='"),
        ("x.x = metal::max(1u, 1);", "ambiguous"),
        ("x = metal::popcount(x);", "no matching function"),
        ("n = 1u;", "const"),
        ("uint a = 1u; uint a = 2u;", "redefinition of 'a'"),
        ("x = as_type<metal::float4>(n);", "one size"),
        ("x = y;", "undeclared identifier 'y'"),
    ] {
        let error = check(&clang, &body(bad)).expect_err(bad);
        assert!(error.contains(reason) && error.contains("probe:1"), "{bad}: {error}");
    }
    // naga declares the bytes of a packed dot product's operands under their names, so that an
    // operand used twice is declared twice.
    let wgsl = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn main() { let v = y[0]; y[1] = dot4U8Packed(v, v); }";
    let error = check(&clang, &probe(&new_msl(wgsl))).unwrap_err();
    assert!(error.contains("redefinition of 'reinterpreted_"), "{error}");
    let twice = [("one".to_string(), "uint f();".to_string()), ("two".to_string(), "int f();".to_string())];
    assert_eq!(check(&clang, &source(&twice)), Ok(()));
}
