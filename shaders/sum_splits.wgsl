// dw = the sum of all splits, always in the same order.

@main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group_index(group, groups) * THREADS + thread;
    if (i >= p.quads) { return; }
    var sum = part_at(i);
    for (var split = 1u; split < SPLITS; split++) { sum += part_at(split * p.quads + i); }
    dw_put(i, sum);
}
