// Adds up the chunks of square_sum_partial and the four lanes of a quad; the one item is the tensor.

//: if SHARED
var<workgroup> sums: array<vec4<f32>, 64>;
//: else
var<private> sums: array<vec4<f32>, 64>;
//: end

@main {
    //: if SHARED
    let item = group_index(group, groups); // uniform
    //: else
    let item = group_index(group, groups) * THREADS + thread;
    //: end
    if (item >= 1u) { return; }
    let rows = (p.quads + 63u) / 64u;
    let chunks = (rows + PER_CHUNK - 1u) / PER_CHUNK;
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        sum_start();
        for (var chunk = 0u; chunk < chunks; chunk++) { sum_term(part_at(chunk * 64u + lane)); }
        sums[lane] = sum_result();
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) { sums[lane] += sums[lane + half]; }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) {
        let sum = (sums[0].x + sums[0].y) + (sums[0].z + sums[0].w);
        //: if JOINED
        total_put(0u, vec4<f32>(sum + before_at(0u).x, 0.0, 0.0, 0.0));
        //: else
        total_put(0u, vec4<f32>(sum, 0.0, 0.0, 0.0));
        //: end
    }
}
