// out[c] = the sum over rows of x[row, c]; an item is a quad of channels.

//: if SHARED
var<workgroup> sums: array<vec4<f32>, 64>;
//: else
var<private> sums: array<vec4<f32>, 64>;
//: end

@main {
    //: if SHARED
    let quad = group_index(group, groups); // uniform
    //: else
    let quad = group_index(group, groups) * THREADS + thread;
    //: end
    if (quad >= p.quads) { return; }
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        sum_start();
        for (var row = lane; row < p.rows; row += 64u) { sum_term(x_at(row * p.quads + quad)); }
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
    if (first_lane(thread) == 0u) { out_put(quad, sums[0] * p.scale); }
}
