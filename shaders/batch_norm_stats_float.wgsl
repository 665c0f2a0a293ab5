// Mean and variance of floats: chunks' means and squared deviations are merged pairwise (Chan, Golub, LeVeque). An item is a quad.

//: if SHARED
var<workgroup> counts: array<f32, 64>;
var<workgroup> means: array<vec4<f32>, 64>;
var<workgroup> deviations: array<vec4<f32>, 64>;
//: else
var<private> counts: array<f32, 64>;
var<private> means: array<vec4<f32>, 64>;
var<private> deviations: array<vec4<f32>, 64>;
//: end

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
    //: if SHARED
    let quad = group_index(group, groups); // uniform
    //: else
    let quad = group_index(group, groups) * THREADS + thread;
    //: end
    if (quad >= p.quads) { return; }
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        counts[lane] = 0.0;
        means[lane] = vec4<f32>();
        deviations[lane] = vec4<f32>();
        for (var chunk = lane; chunk < chunks; chunk += 64u) {
            let count = f32(min(PER_CHUNK, p.rows - chunk * PER_CHUNK));
            merge(lane, count, part_at(chunk * 2u * p.quads + quad), part_at((chunk * 2u + 1u) * p.quads + quad));
        }
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) {
                merge(lane, counts[lane + half], means[lane + half], deviations[lane + half]);
            }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) {
        stats_put(quad, means[0]);
        stats_put(p.quads + quad, deviations[0] / f32(p.rows));
    }
}
