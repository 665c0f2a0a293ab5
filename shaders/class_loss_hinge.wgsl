fn term(z: f32, y: f32) -> f32 {
    let short = max(1.0 - (2.0 * y - 1.0) * z, 0.0);
    return short * short;
}
fn slope(z: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    let t = 2.0 * y - 1.0;
    return -2.0 * t * max(1.0 - t * z, vec4<f32>());
}
