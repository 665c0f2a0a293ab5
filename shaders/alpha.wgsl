// alpha[k] = mean of |w| over a filter; a workgroup makes four filters.

var<workgroup> sums: array<vec4<f32>, 64>;

@main {
    let column = group_index(group, groups);
    if (column >= p.quads) { return; } // uniform
    var sum = vec4<f32>();
    for (var row = thread; row < p.rows; row += 64u) { sum += abs(w_at(row * p.quads + column)); }
    sums[thread] = sum;
    workgroupBarrier();
    for (var half = p.half; half > 0u; half >>= 1u) {
        if (thread < half) { sums[thread] += sums[thread + half]; }
        workgroupBarrier();
    }
    if (thread == 0u) { alpha_put(column, sums[0] / p.count); }
}
