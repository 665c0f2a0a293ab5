// The values of one quad of codes, without the step of uniform levels. Channels beyond the last one
// are zero.
fn value_quad(row: u32, quad: u32, words: u32) -> vec4<f32> { return values_of(code_quad(row, quad, words), quad); }

// The same for decoded codes.
fn values_of(codes: vec4<f32>, quad: u32) -> vec4<f32> {
    //: if SIGNED
    let channel = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(), 2.0 * codes - 1.0, channel < vec4<u32>(CHANNELS));
    //: else
    //: if LEVELS
    var value = vec4<f32>();
    //: for i in LEVELS
    value = select(value, vec4<f32>(bitcast<f32>(LEVEL_$i)), codes > vec4<f32>($i.5));
    //: end
    return value;
    //: else
    return codes;
    //: end
    //: end
}
