fn at(i: u32) {
    velocity_put(i, velocity_at(i) * p.momentum + dw_at(i) + w_at(i) * p.decay);
}
