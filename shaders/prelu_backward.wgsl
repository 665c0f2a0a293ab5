// dx = dy for x > 0, else a * dy.

var<private> a_quad: vec4<f32>;

fn prepare(quad: u32) {
    a_quad = a_at(quad);
    //: if NORMALISED
    norm_prepare(quad);
    //: end
}

fn at(i: u32, quad: u32) {
    //: if NORMALISED
    let x = normalise(x_at(i));
    //: else
    let x = x_at(i);
    //: end
    dx_put(i, select(a_quad, vec4<f32>(1.0), x > vec4<f32>()) * dy_at(i));
}
