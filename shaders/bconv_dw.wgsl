// The operand of a weight gradient that is gathered: activations, unpacked from their planes in registers.

fn x_quad(row: u32, quad: u32) -> vec4<f32> {
    let first = row * (BITS * WORDS) + quad / 8u;
    let shift = vec4<u32>((quad % 8u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    var codes = vec4<u32>();
    //: for b in BITS
    codes |= ((vec4<u32>(x[first + $bu * WORDS]) >> shift) & vec4<u32>(1u)) << vec4<u32>($bu);
    //: end
    return vec4<f32>(codes);
}

fn scale() -> f32 { return bitcast<f32>(STEP_BITS); }
