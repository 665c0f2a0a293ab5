// y = x for x > 0, else a * x.

var<private> a_quad: vec4<f32>;

fn prepare(quad: u32) {
    a_quad = a_at(quad);
    x_prepare(quad);
}

fn at(i: u32, quad: u32) {
    let x = x_at(i);
    y_put(i, select(a_quad * x, x, x > vec4<f32>()));
}
