//! Generated WGSL accessors, through which a kernel body reads and writes its bindings.

use super::halves::{HALVED, SCALES};
use super::{Binding, COEF, Map};
use crate::tensor::Encoding;

/// Returns the element type of a binding's array.
pub(super) fn element(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::F32 => "vec4<f32>",
        Encoding::I32 => "vec4<i32>",
        Encoding::I16 | Encoding::F16 => "vec2<u32>",
        Encoding::U32 => "vec4<u32>",
        Encoding::Planes(_) => "u32",
    }
}

/// Tests for an exponent of all ones: infinity or NaN.
const CHECK: &str = "fn checked(v: vec4<f32>, rank: u32) -> vec4<f32> {
    let exponents = bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u);
    if (any(exponents == vec4<u32>(0x7f800000u))) { atomicMax(&fault[0], rank); }
    return v;
}
";

/// Returns the accessor functions of a binding.
pub(super) fn accessors(binding: &Binding) -> String {
    let x = binding.name;
    if binding.is_fault() {
        return CHECK.to_string();
    }
    if binding.is_seen() {
        return HALVED.to_string();
    }
    // The function that reads the stored number, before a map is applied.
    let read = if binding.map.is_some() { format!("{x}_stored") } else { format!("{x}_at") };
    let mut text = match binding.encoding {
        Encoding::F32 if binding.finite => {
            format!("fn {read}(i: u32) -> vec4<f32> {{ return checked({x}[i], p.fault_rank); }}\n")
        }
        Encoding::F32 => format!("fn {read}(i: u32) -> vec4<f32> {{ return {x}[i]; }}\n"),
        Encoding::F16 => {
            let floats = "vec4<f32>(unpack2x16float(h.x), unpack2x16float(h.y))";
            let floats = format!("{floats} * {SCALES}[p.{x}_scale].y");
            let value =
                if binding.finite && !binding.write { format!("checked({floats}, p.fault_rank)") } else { floats };
            format!("fn {read}(i: u32) -> vec4<f32> {{\n    let h = {x}[i];\n    return {value};\n}}\n")
        }
        Encoding::U32 => format!("fn {read}(i: u32) -> vec4<u32> {{ return {x}[i]; }}\n"),
        Encoding::I32 => format!(
            "fn {x}_int(i: u32) -> vec4<i32> {{ return {x}[i]; }}\n\
             fn {read}(i: u32) -> vec4<f32> {{ return vec4<f32>({x}[i]); }}\n"
        ),
        Encoding::I16 => format!(
            "fn {x}_int(i: u32) -> vec4<i32> {{\n    \
                 let v = bitcast<vec2<i32>>({x}[i]);\n    \
                 return vec4<i32>((v.x << 16u) >> 16u, v.x >> 16u, (v.y << 16u) >> 16u, v.y >> 16u);\n}}\n\
             fn {read}(i: u32) -> vec4<f32> {{ return vec4<f32>({x}_int(i)); }}\n"
        ),
        Encoding::Planes(_) => String::new(),
    };
    text += &match binding.map {
        None => String::new(),
        Some(Map::Identity) => format!(
            "fn {x}_prepare(quad: u32) {{ }}\n\
             fn {x}_at(i: u32) -> vec4<f32> {{ return {x}_stored(i); }}\n"
        ),
        Some(Map::BatchNorm) => format!(
            "var<private> {x}_mean: vec4<f32>;\n\
             var<private> {x}_slope: vec4<f32>;\n\
             var<private> {x}_shift: vec4<f32>;\n\
             fn {x}_prepare(quad: u32) {{\n    \
                 {x}_mean = {COEF}_at(quad);\n    \
                 {x}_slope = {COEF}_at(p.quads + quad);\n    \
                 {x}_shift = {COEF}_at(2u * p.quads + quad);\n}}\n\
             fn {x}_at(i: u32) -> vec4<f32> {{ return ({x}_stored(i) - {x}_mean) * {x}_slope + {x}_shift; }}\n"
        ),
    };
    if binding.write {
        text += &match binding.encoding {
            Encoding::F32 if binding.finite => {
                format!("fn {x}_put(i: u32, v: vec4<f32>) {{ {x}[i] = checked(v, p.fault_rank); }}\n")
            }
            Encoding::F32 => format!("fn {x}_put(i: u32, v: vec4<f32>) {{ {x}[i] = v; }}\n"),
            Encoding::F16 => format!(
                "fn {x}_put(i: u32, v: vec4<f32>) {{\n    \
                     {x}[i] = halved(checked(v, p.fault_rank), {SCALES}[p.{x}_scale].x, p.{x}_scale);\n}}\n"
            ),
            Encoding::U32 => format!("fn {x}_put(i: u32, v: vec4<u32>) {{ {x}[i] = v; }}\n"),
            Encoding::I32 => format!("fn {x}_put_int(i: u32, v: vec4<i32>) {{ {x}[i] = v; }}\n"),
            Encoding::I16 => format!(
                "fn {x}_put_int(i: u32, v: vec4<i32>) {{\n    \
                     let w = bitcast<vec4<u32>>(v);\n    \
                     {x}[i] = vec2<u32>((w.x & 0xffffu) | (w.y << 16u), (w.z & 0xffffu) | (w.w << 16u));\n}}\n"
            ),
            Encoding::Planes(_) => String::new(),
        };
    }
    text
}
