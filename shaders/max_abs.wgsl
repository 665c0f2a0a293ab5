// The largest of a sample's chunks; an item is a sample.

alias Lane = vec4<f32>;

fn item_count() -> u32 { return p.samples; }

fn of_lane(item: u32, lane: u32) -> Lane {
    var largest = vec4<f32>();
    for (var chunk = lane; chunk < p.chunks; chunk += 64u) { largest = max(largest, part_at(item * p.chunks + chunk)); }
    return largest;
}

fn combined(a: Lane, b: Lane) -> Lane { return max(a, b); }

fn finish(item: u32, quad: Lane) {
    largest_put(item, vec4<f32>(max(max(quad.x, quad.y), max(quad.z, quad.w)), 0.0, 0.0, 0.0));
}
