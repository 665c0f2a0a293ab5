fn at(i: u32) {
    let g = dw_at(i) + w_at(i) * of_half(p.decay_first, p.decay_second, i);
    w_put(i, w_at(i) - (g + velocity_at(i) * p.momentum) * (rates_at(0u).x * of_half(p.scale_first, p.scale_second, i)));
}
