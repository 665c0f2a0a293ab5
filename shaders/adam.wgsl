fn at(i: u32) {
    let rates = rates_at(0u);
    let lr = rates.x * of_half(p.scale_first, p.scale_second, i);
    let kept = w_at(i) * (1.0 - lr * of_half(p.decay_first, p.decay_second, i));
    let root = sqrt(second_at(i)) / sqrt(rates.z) + p.eps;
    w_put(i, kept - first_at(i) / root * (lr / rates.y));
}
