// A quad of bytes, rounded stochastically: t = x·2^-e in units of 2^-24, truncated, is an integer.
fn payload(block: u32, place: u32, scale: u32) -> u32 {
    let quad = block * 64u + place;
    if (quad >= p.x_quads) { return 0u; }
    let x = x_at(quad);
    let size = magnitude(x);
    let shift = vec4<i32>(size >> vec4<u32>(23u)) - vec4<i32>(i32(scale >> 23u) - 1);
    let left = vec4<u32>(max(shift, vec4<i32>()));
    let right = vec4<u32>(min(max(-shift, vec4<i32>()), vec4<i32>(31)));
    let units = vec4<i32>((significand(size) << left) >> right);
    let t = bitcast<vec4<u32>>(select(units, -units, bitcast<vec4<u32>>(x) >= vec4<u32>(0x80000000u)));
    let up = (random_quad(quad, p.stream) >> vec4<u32>(8u)) < (t & vec4<u32>(0xffffffu));
    let bytes = ((t >> vec4<u32>(24u)) + select(vec4<u32>(), vec4<u32>(1u), up)) & vec4<u32>(0xffu);
    return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}
