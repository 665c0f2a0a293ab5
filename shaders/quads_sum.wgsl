// The sum of `count` quads of the op's `fn summand(i)`, then of their four lanes.

fn quads_sum(first: u32, count: u32) -> f32 {
    sum_start();
    for (var i = 0u; i < count; i++) { sum_term(summand(first + i)); }
    let sum = sum_result();
    return (sum.x + sum.y) + (sum.z + sum.w);
}
