// The codes of one quad of channels, from a row of the planes `x` with so many words a plane.
fn code_quad(row: u32, quad: u32, words: u32) -> vec4<f32> {
    let first = row * (BITS * words) + quad / 8u;
    let shift = vec4<u32>((quad % 8u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    var codes = vec4<u32>();
    //: for b in BITS
    codes |= ((vec4<u32>(x[first + $bu * words]) >> shift) & vec4<u32>(1u)) << vec4<u32>($bu);
    //: end
    return vec4<f32>(codes);
}
