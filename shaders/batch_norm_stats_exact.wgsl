// Mean and variance of integers from exact sums: var = (P sum(s^2) - (sum s)^2) / P^2, the
// difference in 64 bits. An item is a quad. DIRECT: the chunks are computed in this launch.

// The sum, and the sum of squares in 64 bits.
struct Lane { sum: vec4<i32>, low: vec4<u32>, high: vec4<u32> }

struct Wide { low: vec4<u32>, high: vec4<u32> }

fn multiply(a: vec4<u32>, b: vec4<u32>) -> Wide {
    let half = vec4<u32>(16u);
    let mask = vec4<u32>(0xffffu);
    let ll = (a & mask) * (b & mask);
    let lh = (a & mask) * (b >> half);
    let hl = (a >> half) * (b & mask);
    let hh = (a >> half) * (b >> half);
    let middle = (ll >> half) + (lh & mask) + (hl & mask);
    return Wide((ll & mask) | (middle << half), hh + (lh >> half) + (hl >> half) + (middle >> half));
}

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

fn finish(quad: u32, all: Lane) {
    let count = f32(p.rows);
    let rows = vec4<u32>(p.rows);
    let magnitude = bitcast<vec4<u32>>(abs(all.sum));
    let first = multiply(rows, all.low);
    let second = multiply(magnitude, magnitude);
    let low_part = first.low - second.low;
    let borrow = select(vec4<u32>(), vec4<u32>(1u), first.low < second.low);
    let high_part = first.high + rows * all.high - second.high - borrow;
    let variance = (vec4<f32>(high_part) * 4294967296.0 + vec4<f32>(low_part)) / (count * count);
    found(quad, vec4<f32>(all.sum) / count, variance);
}
