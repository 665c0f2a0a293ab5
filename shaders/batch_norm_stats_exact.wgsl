// Exact sums of integers and of their squares. An item is a quad. DIRECT: the chunks are computed in
// this launch. MOMENTS: the sums themselves are the result, not the statistics.

// The sum, and the sum of squares in 64 bits.
struct Lane { sum: vec4<i32>, low: vec4<u32>, high: vec4<u32> }

fn carry(sum: vec4<u32>, summand: vec4<u32>) -> vec4<u32> { return select(vec4<u32>(), vec4<u32>(1u), sum < summand); }

fn item_count() -> u32 { return p.quads; }

fn combined(a: Lane, b: Lane) -> Lane {
    let low = a.low + b.low;
    return Lane(a.sum + b.sum, low, a.high + b.high + carry(low, b.low));
}

fn of_lane(quad: u32, lane: u32) -> Lane {
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    var all = Lane(vec4<i32>(), vec4<u32>(), vec4<u32>());
    //: if DIRECT
    for (var chunk = lane; chunk < chunks; chunk += 64u) {
        let part = chunk_of(quad, chunk * PER_CHUNK);
        all = combined(all, Lane(part.sum, part.low, part.high));
    }
    //: else
    for (var chunk = lane; chunk < chunks; chunk += 256u) {
        // Four chunks are loaded together.
        //: for i in 4
        let from$i = min(chunk + 64u * $iu, chunks - 1u) * 3u * p.quads + quad;
        let part$i = Lane(bitcast<vec4<i32>>(part_at(from$i)), part_at(from$i + p.quads), part_at(from$i + 2u * p.quads));
        //: end
        //: for i in 4
        if (chunk + 64u * $iu < chunks) { all = combined(all, part$i); }
        //: end
    }
    //: end
    return all;
}

//: if MOMENTS
fn finish(quad: u32, all: Lane) {
    moments_put(quad, bitcast<vec4<u32>>(all.sum));
    moments_put(p.quads + quad, all.low);
    moments_put(2u * p.quads + quad, all.high);
}
//: else
fn finish(quad: u32, all: Lane) { exact_found(quad, all.sum, all.low, all.high); }
//: end
