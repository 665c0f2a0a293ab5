// Mean and variance of floats: chunks' means and squared deviations are merged pairwise (Chan, Golub, LeVeque). An item is a quad.

struct Moments { count: f32, mean: vec4<f32>, deviation: vec4<f32> }

//: if SHARED
var<workgroup> sets: array<Moments, 64>;
//: else
var<private> sets: array<Moments, 64>;
//: end

// Of a lane, what waits for its neighbour: see sum.wgsl.
var<private> pairs: array<Moments, 32>;

fn merged(a: Moments, b: Moments) -> Moments {
    if (b.count == 0.0) { return a; }
    let all = a.count + b.count;
    let share = b.count / all;
    let delta = b.mean - a.mean;
    return Moments(all, a.mean + delta * share, a.deviation + (b.deviation + delta * delta * (a.count * share)));
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
        var done = 0u;
        for (var chunk = lane; chunk < chunks; chunk += 64u) {
            let count = f32(min(PER_CHUNK, p.rows - chunk * PER_CHUNK));
            var moments = Moments(count, part_at(chunk * 2u * p.quads + quad), part_at((chunk * 2u + 1u) * p.quads + quad));
            var level = 0u;
            for (var bits = done; (bits & 1u) == 1u; bits >>= 1u) {
                moments = merged(pairs[level], moments);
                level++;
            }
            pairs[level] = moments;
            done++;
        }
        var all = Moments(0.0, vec4<f32>(), vec4<f32>());
        var level = 0u;
        for (var bits = done; bits > 0u; bits >>= 1u) {
            if ((bits & 1u) == 1u) { all = merged(pairs[level], all); }
            level++;
        }
        sets[lane] = all;
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) { sets[lane] = merged(sets[lane], sets[lane + half]); }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) {
        stats_put(quad, sets[0].mean);
        stats_put(p.quads + quad, sets[0].deviation / f32(p.rows));
    }
}
