// Mean and variance of floats: chunks' means and squared deviations are merged pairwise (Chan, Golub, LeVeque). A workgroup makes a quad.

var<workgroup> counts: array<f32, 64>;
var<workgroup> means: array<vec4<f32>, 64>;
var<workgroup> deviations: array<vec4<f32>, 64>;

// Merges (count, mean, deviation) into slot `into`.
fn merge(into: u32, count: f32, mean: vec4<f32>, deviation: vec4<f32>) {
    if (count == 0.0) { return; }
    let before = counts[into];
    let all = before + count;
    let share = count / all;
    let delta = mean - means[into];
    means[into] += delta * share;
    deviations[into] += deviation + delta * delta * (before * share);
    counts[into] = all;
}

@main {
    let quad = group_index(group, groups);
    if (quad >= p.quads) { return; } // uniform
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    counts[thread] = 0.0;
    means[thread] = vec4<f32>();
    deviations[thread] = vec4<f32>();
    for (var chunk = thread; chunk < chunks; chunk += 64u) {
        let count = f32(min(PER_CHUNK, p.rows - chunk * PER_CHUNK));
        merge(thread, count, part_at(chunk * 2u * p.quads + quad), part_at((chunk * 2u + 1u) * p.quads + quad));
    }
    workgroupBarrier();
    for (var half = p.half; half > 0u; half >>= 1u) {
        if (thread < half) {
            merge(thread, counts[thread + half], means[thread + half], deviations[thread + half]);
        }
        workgroupBarrier();
    }
    if (thread == 0u) {
        stats_put(quad, means[0]);
        stats_put(p.quads + quad, deviations[0] / f32(p.rows));
    }
}
