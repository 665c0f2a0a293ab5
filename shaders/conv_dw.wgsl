// The gathered operand of a weight gradient: float activations.

fn x_raw(row: u32, quad: u32) -> vec4<u32> { return bitcast<vec4<u32>>(x_at(row * p.in_quads + quad)); }
fn x_of(raw: vec4<u32>, quad: u32) -> vec4<f32> { return bitcast<vec4<f32>>(raw); }
fn scale() -> f32 { return 1.0; }
