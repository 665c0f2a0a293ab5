// The largest of a sample's chunks; an item is a sample.

//: if SHARED
var<workgroup> lane_largest: array<vec4<f32>, 64>;
//: else
var<private> lane_largest: array<vec4<f32>, 64>;
//: end

@main {
    //: if SHARED
    let item = group_index(group, groups); // uniform
    //: else
    let item = group_index(group, groups) * THREADS + thread;
    //: end
    if (item >= p.samples) { return; }
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        var largest = vec4<f32>();
        for (var chunk = lane; chunk < p.chunks; chunk += 64u) { largest = max(largest, part_at(item * p.chunks + chunk)); }
        lane_largest[lane] = largest;
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) {
                lane_largest[lane] = max(lane_largest[lane], lane_largest[lane + half]);
            }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) {
        let quad = lane_largest[0];
        largest_put(item, vec4<f32>(max(max(quad.x, quad.y), max(quad.z, quad.w)), 0.0, 0.0, 0.0));
    }
}
