// The gathered operand of a weight gradient: activations, decoded in registers.

fn x_raw(row: u32, quad: u32) -> vec4<u32> { return code_words(row, quad, p.words); }
fn x_of(raw: vec4<u32>, quad: u32) -> vec4<f32> { return values_of(codes_of(raw, quad), quad); }

fn scale() -> f32 {
    //: if SCALED
    return bitcast<f32>(STEP_BITS) * factor_at(0u).x;
    //: else
    return bitcast<f32>(STEP_BITS);
    //: end
}
