// Half floats: from bits, from codes, and from floats that are split into two.

fn halves(low: u32, high: u32) -> vec4<f16> {
    return vec4<f16>(vec2<f16>(unpack2x16float(low)), vec2<f16>(unpack2x16float(high)));
}

// Four signs, from bits 15 and 31 of both words: `minus` negated where the bit is 1, otherwise
// unchanged.
fn sign_halves(low: u32, minus: u32, high: u32) -> vec4<f16> {
    return halves((low & 0x80008000u) ^ minus, (high & 0x80008000u) ^ minus);
}

// Codes of quad v of the channels of a word, in the mantissa of subnormal half floats: see
// bconv_coop.wgsl.
fn code_halves(even: u32, odd: u32, mask: u32) -> vec4<f16> { return halves(even & mask, odd & mask); }

// The upper half of a number, rounded to 11 bits with integer arithmetic, because a compiler may
// remove a conversion to half precision and back.
fn upper(v: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>((bitcast<vec4<u32>>(v) + vec4<u32>(0x1000u)) & vec4<u32>(0xffffe000u));
}

// A number as the sum of two half floats.
struct Cut { most: vec4<f16>, rest: vec4<f16> }
fn cut(v: vec4<f32>) -> Cut {
    let most = upper(v);
    return Cut(vec4<f16>(most), vec4<f16>(v - most));
}

// A power of two that scales the largest magnitude to the upper end of the range of a half float.
fn scale_of(largest: f32) -> f32 {
    return bitcast<f32>((268u - clamp(bitcast<u32>(largest) >> 23u, 15u, 253u)) << 23u);
}
fn inverse_of(scale: f32) -> f32 { return bitcast<f32>((254u << 23u) - bitcast<u32>(scale)); }
