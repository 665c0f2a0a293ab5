// Adds all parts to the 64-bit counter.

alias Lane = vec4<u32>;

fn item_count() -> u32 { return 1u; }

fn of_lane(item: u32, lane: u32) -> Lane {
    var count = vec4<u32>();
    for (var i = lane; i < p.parts; i += 64u) { count += part_at(i); }
    return count;
}

fn combined(a: Lane, b: Lane) -> Lane { return a + b; }

fn finish(item: u32, sum: Lane) {
    let count = sum.x + sum.y + sum.z + sum.w;
    let before = counter_at(0u);
    let low = before.x + count;
    counter_put(0u, vec4<u32>(low, before.y + select(0u, 1u, low < count), 0u, 0u));
}
