// Mean and variance of integers from exact sums: var = (P sum(s^2) - (sum s)^2) / P^2, the difference in 64 bits. An item is a quad.

//: if SHARED
var<workgroup> sums: array<vec4<i32>, 64>;
var<workgroup> lows: array<vec4<u32>, 64>;
var<workgroup> highs: array<vec4<u32>, 64>;
//: else
var<private> sums: array<vec4<i32>, 64>;
var<private> lows: array<vec4<u32>, 64>;
var<private> highs: array<vec4<u32>, 64>;
//: end

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

@main {
    //: if SHARED
    let quad = group_index(group, groups); // uniform
    //: else
    let quad = group_index(group, groups) * THREADS + thread;
    //: end
    if (quad >= p.quads) { return; }
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        var sum = vec4<i32>();
        var low = vec4<u32>();
        var high = vec4<u32>();
        for (var chunk = lane; chunk < chunks; chunk += 64u) {
            sum += bitcast<vec4<i32>>(part_at(chunk * 3u * p.quads + quad));
            let more = part_at((chunk * 3u + 1u) * p.quads + quad);
            low += more;
            high += part_at((chunk * 3u + 2u) * p.quads + quad) + carry(low, more);
        }
        sums[lane] = sum;
        lows[lane] = low;
        highs[lane] = high;
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) {
                sums[lane] += sums[lane + half];
                let more = lows[lane + half];
                lows[lane] += more;
                highs[lane] += highs[lane + half] + carry(lows[lane], more);
            }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) {
        let total = sums[0];
        let count = f32(p.rows);
        let rows = vec4<u32>(p.rows);
        let magnitude = bitcast<vec4<u32>>(abs(total));
        let first = multiply(rows, lows[0]);
        let second = multiply(magnitude, magnitude);
        let low_part = first.low - second.low;
        let borrow = select(vec4<u32>(), vec4<u32>(1u), first.low < second.low);
        let high_part = first.high + rows * highs[0] - second.high - borrow;
        let variance = (vec4<f32>(high_part) * 4294967296.0 + vec4<f32>(low_part)) / (count * count);
        stats_put(quad, vec4<f32>(total) / count);
        stats_put(p.quads + quad, variance);
    }
}
