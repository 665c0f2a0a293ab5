//: if NORMALISED
fn prepare(quad: u32) { norm_prepare(quad); }
fn at(i: u32, quad: u32) { y_put(i, max(normalise(x_at(i)), vec4<f32>())); }
//: else
fn at(i: u32) { y_put(i, max(x_at(i), vec4<f32>())); }
//: end
