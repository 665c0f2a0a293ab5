// The sum of the channels' sums, in one invocation.

@main {
    if (group_index(group, groups) * THREADS + thread != 0u) { return; }
    var sum = vec4<f32>();
    for (var quad = 0u; quad < p.quads; quad++) { sum += columns_at(quad); }
    out_put(0u, vec4<f32>((sum.x + sum.y) + (sum.z + sum.w), 0.0, 0.0, 0.0));
}
