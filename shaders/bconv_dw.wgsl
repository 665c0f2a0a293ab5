// The operand of a weight gradient that is gathered: activations, unpacked from their planes in registers.

fn x_quad(row: u32, quad: u32) -> vec4<f32> { return code_quad(row, quad, WORDS); }
fn scale() -> f32 { return bitcast<f32>(STEP_BITS); }
