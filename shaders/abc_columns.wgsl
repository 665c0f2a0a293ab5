// For each bin between thresholds, of four filters: how many weights lie in it, and their sum. MOMENTS: of all weights, the sum and the sum of squares.
// An item is one of the two numbers of a bin of four filters.

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
    if (item >= p.items) { return; }
    let row_of_columns = item / p.quads;
    let column = item - row_of_columns * p.quads;
    let second = (row_of_columns & 1u) == 1u;
    //: if MOMENTS
    //: else
    let bin = row_of_columns / 2u;
    let exists = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(FILTERS);
    //: end
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        sum_start();
        for (var row = lane; row < p.rows; row += 64u) {
            let w = w_at(row * p.quads + column);
            //: if MOMENTS
            sum_term(select(w, w * w, second));
            //: else
            var reached = vec4<u32>();
            //: for i in COUNT
            reached += select(vec4<u32>(), vec4<u32>(1u), w >= vec4<f32>(thresholds_at($iu / 4u)[$iu % 4u]));
            //: end
            let chosen = exists & (reached == vec4<u32>(bin)) & vec4<bool>(row % CHANNEL_ROWS < CHANNELS);
            sum_term(select(vec4<f32>(), select(vec4<f32>(1.0), w, second), chosen));
            //: end
        }
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
    if (first_lane(thread) == 0u) { columns_put(item, sums[0]); }
}
