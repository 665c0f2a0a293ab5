// dx = dy * slope of the surrogate at x, or at the normalised x.

fn prepare(quad: u32) {
    x_prepare(quad);
}

fn at(i: u32, quad: u32) {
    let z = x_at(i);
    dx_put(i, dy_at(i) * slope(z));
}
