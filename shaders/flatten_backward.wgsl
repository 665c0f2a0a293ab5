// dx[n, r, s, c] = dy[n, (c h + r) w + s], four channels at a time.
fn at(i: u32) {
    let row = i / p.row_quads;
    let first = (i - row * p.row_quads) * 4u;
    let image = row / p.pixels;
    let pixel = row - image * p.pixels;
    var out = vec4<f32>();
    //: for l in 4
    let element$l = (first + $lu) * p.pixels + pixel;
    if (element$l < p.len) { out[$l] = dy_at(image * p.flat_quads + element$l / 4u)[element$l % 4u]; }
    //: end
    dx_put(i, out);
}
