fn at(i: u32) {
    let g = dw_at(i) + w_at(i) * p.decay;
    //: if SECOND
    moment_put(i, moment_at(i) * p.keep + g * g * p.take);
    //: else
    moment_put(i, moment_at(i) * p.keep + g * p.take);
    //: end
}
