// Mean and variance of integers from exact sums: var = (P sum(s^2) - (sum s)^2) / P^2, the difference in 64 bits. A workgroup makes a quad.

var<workgroup> sums: array<vec4<i32>, 64>;
var<workgroup> lows: array<vec4<u32>, 64>;
var<workgroup> highs: array<vec4<u32>, 64>;

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
    let quad = group_index(group, groups);
    if (quad >= p.quads) { return; } // uniform
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    var sum = vec4<i32>();
    var low = vec4<u32>();
    var high = vec4<u32>();
    for (var chunk = thread; chunk < chunks; chunk += 64u) {
        sum += bitcast<vec4<i32>>(part_at(chunk * 3u * p.quads + quad));
        let more = part_at((chunk * 3u + 1u) * p.quads + quad);
        low += more;
        high += part_at((chunk * 3u + 2u) * p.quads + quad) + carry(low, more);
    }
    sums[thread] = sum;
    lows[thread] = low;
    highs[thread] = high;
    workgroupBarrier();
    for (var half = p.half; half > 0u; half >>= 1u) {
        if (thread < half) {
            sums[thread] += sums[thread + half];
            let more = lows[thread + half];
            lows[thread] += more;
            highs[thread] += highs[thread + half] + carry(lows[thread], more);
        }
        workgroupBarrier();
    }
    if (thread == 0u) {
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
