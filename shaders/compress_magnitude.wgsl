// The bits of |x|: 0 below 2^-100, at most those of 127·2^121. Bits are compared, so that it does
// not matter whether a driver flushes subnormal numbers.
fn magnitude(x: vec4<f32>) -> vec4<u32> {
    let size = min(bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu), vec4<u32>(0x7f7e0000u));
    return select(size, vec4<u32>(), size < vec4<u32>(0x0d800000u));
}

// The 24 bits of a magnitude's significand.
fn significand(size: vec4<u32>) -> vec4<u32> {
    return select((size & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u), vec4<u32>(), size == vec4<u32>());
}
