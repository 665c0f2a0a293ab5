// 32 signs: bit 1 for numbers below 0; or 32 votes: bit 1 for numbers above 0.
fn payload(block: u32, place: u32, scale: u32) -> u32 {
    let first = block * 64u + place * 8u;
    var word = 0u;
    for (var i = 0u; i < 8u; i++) {
        if (first + i < p.x_quads) {
            let x = x_at(first + i);
            //: if VOTE
            let side = bitcast<vec4<u32>>(x) < vec4<u32>(0x80000000u);
            //: else
            let side = bitcast<vec4<u32>>(x) >= vec4<u32>(0x80000000u);
            //: end
            let is_set = (magnitude(x) != vec4<u32>()) & side;
            let bits = select(vec4<u32>(), vec4<u32>(1u, 2u, 4u, 8u), is_set);
            word |= (bits.x | bits.y | bits.z | bits.w) << (4u * i);
        }
    }
    return word;
}
