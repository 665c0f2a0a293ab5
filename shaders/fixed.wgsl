// y = x in fixed point.

fn prepare(quad: u32) {
    //: if IN_PLACE
    //: else
    x_prepare(quad);
    //: end
}

fn at(i: u32, quad: u32) {
    //: if IN_PLACE
    y_put(i, rounded(y_at(i), i));
    //: else
    y_put(i, rounded(x_at(i), i));
    //: end
}
