// The sum of the source rows over the taps, times 1 / taps: forward with gathered windows, backward
// with scattered ones.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let row = item / p.in_quads;
    let quad = item - row * p.in_quads;
    if (row >= row_count()) { return; }
    let at = locate(row);
    sum_start();
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let from_row = source(at, r, s);
            if (from_row >= 0) { sum_term(a_at(u32(from_row) * p.in_quads + quad)); }
        }
    }
    out_put(item, sum_result() / f32(p.kernel_h * p.kernel_w));
}
