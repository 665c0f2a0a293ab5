// Adds up the chunks of batch_norm_sums_partial; an item is a quad of one of the two rows.

//: if SHARED
var<workgroup> lane_sums: array<vec4<f32>, 64>;
//: else
var<private> lane_sums: array<vec4<f32>, 64>;
//: end

@main {
    //: if SHARED
    let item = group_index(group, groups); // uniform
    //: else
    let item = group_index(group, groups) * THREADS + thread;
    //: end
    if (item >= 2u * p.quads) { return; }
    let chunks = (p.rows + PER_CHUNK - 1u) / PER_CHUNK;
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        sum_start();
        for (var chunk = lane; chunk < chunks; chunk += 64u) { sum_term(part_at(chunk * 2u * p.quads + item)); }
        lane_sums[lane] = sum_result();
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) { lane_sums[lane] += lane_sums[lane + half]; }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) { sums_put(item, lane_sums[0]); }
}
