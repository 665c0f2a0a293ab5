// The operand of a weight gradient that is gathered: float activations.

fn x_quad(row: u32, quad: u32) -> vec4<f32> { return x_at(row * p.in_quads + quad); }
fn scale() -> f32 { return 1.0; }
