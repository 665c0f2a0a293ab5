fn word(i: u32) -> u32 { return message_at(i >> 2u)[i & 3u]; }

// Quad `place` of the block that begins at word `block`. Every product is exact.
fn decoded(block: u32, place: u32) -> vec4<f32> {
    //: if VOTE
    let votes = word(block + place / 8u) >> (4u * (place & 7u));
    let in_favour = (vec4<u32>(votes) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>();
    return select(vec4<f32>(-1.0), vec4<f32>(1.0), in_favour);
    //: else
    let scale = bitcast<f32>(word(block));
    //: end
    //: if HALF
    let low = word(block + 1u + 2u * place);
    let high = word(block + 2u + 2u * place);
    let halves = vec4<u32>(low & 0xffffu, low >> 16u, high & 0xffffu, high >> 16u);
    let size = halves & vec4<u32>(0x7fffu);
    let bits = (size << vec4<u32>(13u)) + vec4<u32>(112u << 23u);
    let minus = (halves & vec4<u32>(0x8000u)) << vec4<u32>(16u);
    return bitcast<vec4<f32>>(select(bits | minus, vec4<u32>(), size == vec4<u32>())) * scale;
    //: end
    //: if BYTE
    let bytes = word(block + 1u + place);
    let above = vec4<u32>(bytes, bytes >> 8u, bytes >> 16u, bytes >> 24u) ^ vec4<u32>(0x80u);
    return vec4<f32>(vec4<i32>(above & vec4<u32>(0xffu)) - vec4<i32>(128)) * scale;
    //: end
    //: if SIGN
    let bits = word(block + 1u + place / 8u) >> (4u * (place & 7u));
    let minus = (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>();
    return select(vec4<f32>(scale), vec4<f32>(-scale), minus);
    //: end
}

// The lanes of quad i of the tensor that are not padding.
fn kept(i: u32) -> vec4<bool> {
    let row = i / p.row_quads;
    let lane = 4u * (i - row * p.row_quads);
    let of_row = vec4<u32>(lane, lane + 1u, lane + 2u, lane + 3u) < vec4<u32>(p.channels);
    return of_row & vec4<bool>(row % p.period < p.rows);
}
