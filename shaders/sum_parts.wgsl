// out = the sum of all parts, in pairs.

@main {
    let i = group_index(group, groups) * THREADS + thread;
    if (i >= p.quads) { return; }
    sum_start();
    for (var part_index = 0u; part_index < PARTS; part_index++) { sum_term(part_at(part_index * p.quads + i)); }
    sum_put(i, sum_result());
}
