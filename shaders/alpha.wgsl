// alpha[k] = mean of |w| over a filter, or of dy sign(w), or the sum of dy tanh(w); an item is four filters.

//: if SHARED
var<workgroup> sums: array<vec4<f32>, 64>;
//: else
var<private> sums: array<vec4<f32>, 64>;
//: end

fn term(i: u32) -> vec4<f32> {
    //: if OF_GRADIENT
    return select(-dy_at(i), dy_at(i), w_at(i) >= vec4<f32>());
    //: else
    //: if OF_TANH
    return dy_at(i) * tanh(w_at(i));
    //: else
    return abs(w_at(i));
    //: end
    //: end
}

@main {
    //: if SHARED
    let column = group_index(group, groups); // uniform
    //: else
    let column = group_index(group, groups) * THREADS + thread;
    //: end
    if (column >= p.quads) { return; }
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        sum_start();
        for (var row = lane; row < p.rows; row += 64u) { sum_term(term(row * p.quads + column)); }
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
    if (first_lane(thread) == 0u) { alpha_put(column, sums[0] / p.count); }
}
