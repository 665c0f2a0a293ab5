fn at(i: u32) {
    let g = dw_at(i) + w_at(i) * p.decay;
    w_put(i, w_at(i) - (g + velocity_at(i) * p.momentum) * (rates_at(0u).x * p.lr_scale));
}
