// dx = dy * f'. `slope`, f' of a quad of outputs or inputs, comes from the table in src/ops/curve.rs.

fn prepare(quad: u32) {
    //: if BY_INPUT
    x_prepare(quad);
    //: end
}

fn at(i: u32, quad: u32) {
    //: if BY_INPUT
    dx_put(i, dy_at(i) * slope(x_at(i)));
    //: else
    dx_put(i, dy_at(i) * slope(y_at(i)));
    //: end
}
