// y[n, (c h + r) w + s] = x[n, r, s, c], four elements of y at a time.
fn at(i: u32) {
    let image = i / p.flat_quads;
    let first = (i - image * p.flat_quads) * 4u;
    var out = vec4<f32>();
    //: for l in 4
    let element$l = first + $lu;
    if (element$l < p.len) {
        let c$l = element$l / p.pixels;
        let row$l = image * p.pixels + element$l - c$l * p.pixels;
        out[$l] = x_at(row$l * p.row_quads + c$l / 4u)[c$l % 4u];
    }
    //: end
    y_put(i, out);
}
