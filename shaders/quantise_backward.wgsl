// dx = dy * slope of the surrogate at x, or at the normalised x.

fn prepare(quad: u32) {
    //: if NORMALISED
    norm_prepare(quad);
    //: end
}

fn at(i: u32, quad: u32) {
    //: if NORMALISED
    let z = normalise(x_at(i));
    //: else
    let z = x_at(i);
    //: end
    dx_put(i, dy_at(i) * slope(z));
}
