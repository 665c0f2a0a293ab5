fn at(i: u32) {
    velocity_put(i, velocity_at(i) * p.momentum + dw_at(i) + w_at(i) * of_half(p.decay_first, p.decay_second, i));
}
