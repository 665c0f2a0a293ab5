fn term(z: f32, y: f32) -> f32 { return 0.5 * (z - y) * (z - y); }
fn slope(z: vec4<f32>, y: vec4<f32>) -> vec4<f32> { return z - y; }
