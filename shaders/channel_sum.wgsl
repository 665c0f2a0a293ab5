// out[c] = the sum over rows of x[row, c]; a workgroup makes one quad of channels.

var<workgroup> sums: array<vec4<f32>, 64>;

@main {
    let quad = group_index(group, groups);
    if (quad >= p.quads) { return; } // uniform
    var sum = vec4<f32>();
    for (var row = thread; row < p.rows; row += 64u) { sum += x_at(row * p.quads + quad); }
    sums[thread] = sum;
    workgroupBarrier();
    for (var half = p.half; half > 0u; half >>= 1u) {
        if (thread < half) { sums[thread] += sums[thread + half]; }
        workgroupBarrier();
    }
    if (thread == 0u) { out_put(quad, sums[0] * p.scale); }
}
