// Mean and variance of integers from exact sums over p.rows rows: var = (P sum(s^2) - (sum s)^2) /
// P^2, the difference in 64 bits.

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


fn exact_found(quad: u32, sum: vec4<i32>, low: vec4<u32>, high: vec4<u32>) {
    let count = f32(p.rows);
    let rows = vec4<u32>(p.rows);
    let magnitude = bitcast<vec4<u32>>(abs(sum));
    let first = multiply(rows, low);
    let second = multiply(magnitude, magnitude);
    let low_part = first.low - second.low;
    let borrow = select(vec4<u32>(), vec4<u32>(1u), first.low < second.low);
    let high_part = first.high + rows * high - second.high - borrow;
    let variance = (vec4<f32>(high_part) * 4294967296.0 + vec4<f32>(low_part)) / (count * count);
    found(quad, vec4<f32>(sum) / count, variance);
}
