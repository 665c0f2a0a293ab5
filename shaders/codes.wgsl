// The words of the planes `x` that hold the codes of one quad of channels, for rows with `words`
// words per plane.
fn code_words(row: u32, quad: u32, words: u32) -> vec4<u32> {
    let first = row * (BITS * words) + quad / 8u;
    var planes = vec4<u32>();
    //: for b in BITS
    planes[$b] = x[first + $bu * words];
    //: end
    return planes;
}

// The codes of that quad.
fn codes_of(planes: vec4<u32>, quad: u32) -> vec4<f32> {
    let shift = vec4<u32>((quad % 8u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    var codes = vec4<u32>();
    //: for b in BITS
    codes |= ((vec4<u32>(planes[$b]) >> shift) & vec4<u32>(1u)) << vec4<u32>($bu);
    //: end
    return vec4<f32>(codes);
}

fn code_quad(row: u32, quad: u32, words: u32) -> vec4<f32> { return codes_of(code_words(row, quad, words), quad); }
