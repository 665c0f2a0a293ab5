// out = the sum of all parts, in pairs.

fn at(i: u32) {
    sum_start();
    for (var part_index = 0u; part_index < PARTS; part_index++) { sum_term(part_at(part_index * p.quads + i)); }
    sum_put(i, sum_result());
}
