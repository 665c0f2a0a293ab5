var<private> bias: vec4<f32>;
fn prepare(quad: u32) { bias = b_at(quad); }
fn at(i: u32, quad: u32) { y_put(i, x_at(i) + bias); }
