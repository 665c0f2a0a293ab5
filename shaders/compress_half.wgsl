// Two halves, rounded to nearest, ties to even; 0 where the half would be subnormal.
fn payload(block: u32, place: u32, scale: u32) -> u32 {
    let quad = block * 64u + place / 2u;
    if (quad >= p.x_quads) { return 0u; }
    let x = x_at(quad);
    let size = magnitude(x);
    // The largest number's power of two gets a half's exponent field 29.
    let zero = vec4<u32>(scale + (14u << 23u));
    let shifted = size + vec4<u32>(29u << 23u);
    let normal = (size != vec4<u32>()) & (shifted >= zero + vec4<u32>(1u << 23u));
    let bits = shifted - zero;
    let rounded = (bits + vec4<u32>(0xfffu) + ((bits >> vec4<u32>(13u)) & vec4<u32>(1u))) >> vec4<u32>(13u);
    let minus = (bitcast<vec4<u32>>(x) >> vec4<u32>(16u)) & vec4<u32>(0x8000u);
    let halves = select(vec4<u32>(), rounded | minus, normal);
    return select(halves.x | (halves.y << 16u), halves.z | (halves.w << 16u), (place & 1u) == 1u);
}
