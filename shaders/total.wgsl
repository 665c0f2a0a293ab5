// The sum over all channels of their sums, in one invocation.

fn summand(i: u32) -> vec4<f32> { return columns_at(i); }

@main {
    if (group_index(group, groups) * THREADS + thread != 0u) { return; }
    out_put(0u, vec4<f32>(quads_sum(0u, p.quads), 0.0, 0.0, 0.0));
}
