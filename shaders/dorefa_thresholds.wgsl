// thresholds[i] = atanh(T ((2 i + 1) / n - 1)), T = tanh of the largest magnitude.

@main {
    let quad = group_index(group, groups) * THREADS + thread;
    if (quad >= QUADS) { return; }
    var largest = 0.0;
    for (var row = 0u; row < p.rows; row++) { largest = max(largest, largest_at(row).x); }
    let i = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let y = tanh(largest) * (vec4<f32>(2u * i + 1u) / p.steps - 1.0);
    thresholds_put(quad, select(vec4<f32>(), 0.5 * log((1.0 + y) / (1.0 - y)), i < vec4<u32>(COUNT)));
}
