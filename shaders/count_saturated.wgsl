// Adds all parts to the 64-bit counter.

//: if SHARED
var<workgroup> counts: array<vec4<u32>, 64>;
//: else
var<private> counts: array<vec4<u32>, 64>;
//: end

@main {
    //: if SHARED
    let item = group_index(group, groups); // uniform
    //: else
    let item = group_index(group, groups) * THREADS + thread;
    //: end
    if (item > 0u) { return; }
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        var count = vec4<u32>();
        for (var i = lane; i < p.parts; i += 64u) { count += part_at(i); }
        counts[lane] = count;
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) { counts[lane] += counts[lane + half]; }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) {
        let sum = counts[0];
        let count = sum.x + sum.y + sum.z + sum.w;
        let before = counter_at(0u);
        let low = before.x + count;
        counter_put(0u, vec4<u32>(low, before.y + select(0u, 1u, low < count), 0u, 0u));
    }
}
