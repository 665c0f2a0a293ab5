// Whether the mean gradient m has consistently opposed the weight.
fn flips(w: vec4<f32>, m: vec4<f32>) -> vec4<bool> {
    return (abs(m) > vec4<f32>(p.threshold)) & ((m > vec4<f32>()) == (w > vec4<f32>()));
}
