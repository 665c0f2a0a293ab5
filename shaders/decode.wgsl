// y = the value of a code, or y = alpha[k] * step * s.

//: if SUMS
var<private> scale: vec4<f32>;
fn prepare(quad: u32) { scale = alpha_at(quad) * p.step; }
fn at(i: u32, quad: u32) { y_put(i, x_at(i) * scale); }
//: else
//: if SCALED
var<private> scale: f32;
fn prepare(quad: u32) { scale = p.step * factor_at(0u).x; }
fn at(i: u32, quad: u32) { y_put(i, value_quad(i / p.quads, quad, (p.quads + 7u) / 8u) * scale); }
//: else
fn prepare(quad: u32) { }
fn at(i: u32, quad: u32) { y_put(i, value_quad(i / p.quads, quad, (p.quads + 7u) / 8u) * p.step); }
//: end
//: end
