fn at(i: u32) {
    let rates = rates_at(0u);
    let lr = rates.x * p.lr_scale;
    let kept = w_at(i) * (1.0 - lr * p.decay);
    let root = sqrt(second_at(i)) / sqrt(rates.z) + p.eps;
    w_put(i, kept - first_at(i) / root * (lr / rates.y));
}
