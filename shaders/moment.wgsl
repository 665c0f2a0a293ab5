fn at(i: u32) {
    let g = dw_at(i) + w_at(i) * of_half(p.decay_first, p.decay_second, i);
    //: if SECOND
    moment_put(i, moment_at(i) * p.keep + g * g * p.take);
    //: else
    moment_put(i, moment_at(i) * p.keep + g * p.take);
    //: end
}
