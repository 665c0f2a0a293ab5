// The sum of |x| over the channels of one place.

@main {
    let row = group_index(group, groups) * THREADS + thread;
    if (row >= p.rows) { return; }
    var sum = vec4<f32>();
    for (var quad = 0u; quad < p.quads; quad++) { sum += abs(x_at(row * p.quads + quad)); }
    sums_put(row, vec4<f32>((sum.x + sum.y) + (sum.z + sum.w), 0.0, 0.0, 0.0));
}
