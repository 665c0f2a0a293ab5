// The mean over the window of the positions' sums; an item is a row of the output.

@main {
    let row = group_index(group, groups) * THREADS + thread;
    if (row >= row_count()) { return; }
    let at = locate(row);
    sum_start();
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let from_row = source(at, r, s);
            if (from_row >= 0) { sum_term(sums_at(u32(from_row))); }
        }
    }
    k_put(row, vec4<f32>(sum_result().x / bitcast<f32>(COUNT_BITS), 0.0, 0.0, 0.0));
}
