fn term(z: f32, y: f32) -> f32 { return max(z, 0.0) - z * y + log(1.0 + exp(-abs(z))); }
fn slope(z: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(z));
    return select(e, vec4<f32>(1.0), z >= vec4<f32>()) / (1.0 + e) - y;
}
