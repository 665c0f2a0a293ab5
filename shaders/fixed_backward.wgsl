// dx = dy, optionally rounded, where x lies in the range of its format; 0 elsewhere.

fn prepare(quad: u32) {
    x_prepare(quad);
}

fn at(i: u32, quad: u32) {
    let x = x_at(i);
    //: if ROUNDED
    let dy = rounded(dy_at(i), i);
    //: else
    let dy = dy_at(i);
    //: end
    let held = (x >= vec4<f32>(p.x_low)) & (x <= vec4<f32>(p.x_high));
    dx_put(i, select(vec4<f32>(), dy, held));
}
