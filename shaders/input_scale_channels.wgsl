// The sum of |x| over the channels of one position.

fn summand(i: u32) -> vec4<f32> { return abs(x_at(i)); }

@main {
    let row = group_index(group, groups) * THREADS + thread;
    if (row >= p.rows) { return; }
    sums_put(row, vec4<f32>(quads_sum(row * p.quads, p.quads), 0.0, 0.0, 0.0));
}
