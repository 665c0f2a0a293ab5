// Mean and variance of floats: means and squared deviations of chunks are merged pairwise (Chan,
// Golub, LeVeque). An item is a quad. DIRECT: the chunks are computed in this launch.

struct Lane { count: f32, mean: vec4<f32>, deviation: vec4<f32> }

// Chunks of a lane that wait for a partner: see sum.wgsl.
var<private> pairs: array<Lane, 32>;

fn item_count() -> u32 { return p.quads; }

fn combined(a: Lane, b: Lane) -> Lane {
    if (b.count == 0.0) { return a; }
    let all = a.count + b.count;
    let share = b.count / all;
    let delta = b.mean - a.mean;
    return Lane(all, a.mean + delta * share, a.deviation + (b.deviation + delta * delta * (a.count * share)));
}

// Appends the moments of a chunk after `done` others.
fn push(done: u32, chunk: Lane) {
    var moments = chunk;
    var level = 0u;
    for (var bits = done; (bits & 1u) == 1u; bits >>= 1u) {
        moments = combined(pairs[level], moments);
        level++;
    }
    pairs[level] = moments;
}

fn of_lane(quad: u32, lane: u32) -> Lane {
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    var done = 0u;
    //: if DIRECT
    for (var chunk = lane; chunk < chunks; chunk += 64u) {
        let part = chunk_of(quad, chunk * PER_CHUNK);
        push(done, Lane(f32(min(PER_CHUNK, p.rows - chunk * PER_CHUNK)), part.mean, part.deviation));
        done++;
    }
    //: else
    for (var chunk = lane; chunk < chunks; chunk += 256u) {
        // Four chunks are loaded together.
        //: for i in 4
        let chunk$i = min(chunk + 64u * $iu, chunks - 1u);
        let mean$i = part_at(chunk$i * 2u * p.quads + quad);
        let deviation$i = part_at((chunk$i * 2u + 1u) * p.quads + quad);
        //: end
        //: for i in 4
        if (chunk + 64u * $iu < chunks) {
            push(done, Lane(f32(min(PER_CHUNK, p.rows - chunk$i * PER_CHUNK)), mean$i, deviation$i));
            done++;
        }
        //: end
    }
    //: end
    var all = Lane(0.0, vec4<f32>(), vec4<f32>());
    var level = 0u;
    for (var bits = done; bits > 0u; bits >>= 1u) {
        if ((bits & 1u) == 1u) { all = combined(pairs[level], all); }
        level++;
    }
    return all;
}

fn finish(quad: u32, all: Lane) {
    found(quad, all.mean, all.deviation / f32(p.rows));
}
