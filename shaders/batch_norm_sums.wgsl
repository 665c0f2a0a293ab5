// Adds up the chunks of batch_norm_sums_partial; a workgroup makes one quad of one of the two rows.

var<workgroup> lane_sums: array<vec4<f32>, 64>;

@main {
    let item = group_index(group, groups);
    if (item >= 2u * p.quads) { return; } // uniform
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    var sum = vec4<f32>();
    for (var chunk = thread; chunk < chunks; chunk += 64u) { sum += part_at(chunk * 2u * p.quads + item); }
    lane_sums[thread] = sum;
    workgroupBarrier();
    for (var half = p.half; half > 0u; half >>= 1u) {
        if (thread < half) { lane_sums[thread] += lane_sums[thread + half]; }
        workgroupBarrier();
    }
    if (thread == 0u) { sums_put(item, lane_sums[0]); }
}
