fn at(i: u32) {
    let g = g_at(i);
    sum_put(i, select(sum_at(i) + g, g, micro_at(0u).x == 0.0));
}
