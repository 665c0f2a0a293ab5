// y = step * code, or y = alpha[k] * step * s.

//: if SUMS
var<private> scale: vec4<f32>;
fn prepare(quad: u32) { scale = alpha_at(quad) * p.step; }
fn at(i: u32, quad: u32) { y_put(i, x_at(i) * scale); }
//: else
fn prepare(quad: u32) { }
fn at(i: u32, quad: u32) {
    let words = (p.quads + 7u) / 8u;
    let first = i / p.quads * (BITS * words) + quad / 8u;
    let shift = vec4<u32>((quad % 8u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    var codes = vec4<u32>();
    //: for b in BITS
    codes |= ((vec4<u32>(x[first + $bu * words]) >> shift) & vec4<u32>(1u)) << vec4<u32>($bu);
    //: end
    y_put(i, vec4<f32>(codes) * p.step);
}
//: end
