// thresholds[i] = mean + u * std, u equally spaced from -1 to 1; 0 for a single base.

@main {
    if (group_index(group, groups) * THREADS + thread > 0u) { return; }
    let mean = total(0u) / p.count;
    let deviation = sqrt(max(total(1u) / p.count - mean * mean, 0.0));
    for (var quad = 0u; quad < QUADS; quad++) {
        let i = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let u = vec4<f32>(i) * p.step - vec4<f32>(p.start);
        thresholds_put(quad, select(vec4<f32>(), mean + u * deviation, i < vec4<u32>(COUNT)));
    }
}
