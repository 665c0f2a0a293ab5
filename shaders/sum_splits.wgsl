// dw = the sum of all splits, always in the same order.

@main {
    let i = group_index(group, groups) * THREADS + thread;
    if (i >= p.quads) { return; }
    var sum = part_at(i);
    for (var split = 1u; split < SPLITS; split++) { sum += part_at(split * p.quads + i); }
    dw_put(i, sum);
}
