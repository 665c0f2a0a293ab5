// y = x for x > 0, else a * x.

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
    y_put(i, select(a_quad * x, x, x > vec4<f32>()));
}
