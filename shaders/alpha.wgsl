// alpha[k] = mean of |w| over a filter; an item is four filters.

//: if SHARED
var<workgroup> sums: array<vec4<f32>, 64>;
//: else
var<private> sums: array<vec4<f32>, 64>;
//: end

@main {
    //: if SHARED
    let column = group_index(group, groups); // uniform
    //: else
    let column = group_index(group, groups) * THREADS + thread;
    //: end
    if (column >= p.quads) { return; }
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        var sum = vec4<f32>();
        for (var row = lane; row < p.rows; row += 64u) { sum += abs(w_at(row * p.quads + column)); }
        sums[lane] = sum;
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var lane = first_lane(thread); lane < half; lane += LANE_STEP) { sums[lane] += sums[lane + half]; }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) { alpha_put(column, sums[0] / p.count); }
}
