// The operand of a weight gradient that is gathered: activations, made from their codes in registers.

fn x_quad(row: u32, quad: u32) -> vec4<f32> { return value_quad(row, quad, WORDS); }

fn scale() -> f32 {
    //: if SCALED
    return bitcast<f32>(STEP_BITS) * factor_at(0u).x;
    //: else
    return bitcast<f32>(STEP_BITS);
    //: end
}
