// Terms of the gradient of the scale: for PACT, dy above it; for LSQ, dy (code - x / s) inside and
// dy n above, times a factor.

fn prepare(quad: u32) {
    x_prepare(quad);
}

fn at(i: u32, quad: u32) {
    let z = x_at(i);
    let s = scale_at(0u).x;
    let zero = vec4<f32>();
    //: if LSQ
    let n = vec4<f32>(p.top);
    let inside = vec4<f32>(code_of(z, quad)) - z / s;
    let slope = select(select(inside, n, z >= n * s), zero, z <= zero);
    //: else
    let slope = select(zero, vec4<f32>(1.0), z > vec4<f32>(s));
    //: end
    let channel = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    terms_put(i, select(zero, dy_at(i) * slope * p.factor, channel < vec4<u32>(CHANNELS)));
}
