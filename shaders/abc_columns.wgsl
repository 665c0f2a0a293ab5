// For each bin between thresholds, of four filters: how many weights lie in it, and their sum. MOMENTS: of all weights, the sum and the sum of squares.

//: if SHARED
var<workgroup> firsts: array<vec4<f32>, 64>;
var<workgroup> seconds: array<vec4<f32>, 64>;
//: else
var<private> firsts: array<vec4<f32>, 64>;
var<private> seconds: array<vec4<f32>, 64>;
//: end

@main {
    //: if SHARED
    let item = group_index(group, groups); // uniform
    //: else
    let item = group_index(group, groups) * THREADS + thread;
    //: end
    if (item >= p.items) { return; }
    let bin = item / p.quads;
    let column = item - bin * p.quads;
    //: if MOMENTS
    //: else
    let exists = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(FILTERS);
    //: end
    for (var lane = first_lane(thread); lane < 64u; lane += LANE_STEP) {
        var first = vec4<f32>();
        var second = vec4<f32>();
        for (var row = lane; row < p.rows; row += 64u) {
            let w = w_at(row * p.quads + column);
            //: if MOMENTS
            first += w;
            second += w * w;
            //: else
            var reached = vec4<u32>();
            //: for i in COUNT
            reached += select(vec4<u32>(), vec4<u32>(1u), w >= vec4<f32>(thresholds_at($iu / 4u)[$iu % 4u]));
            //: end
            let chosen = exists & (reached == vec4<u32>(bin)) & vec4<bool>(row % CHANNEL_ROWS < CHANNELS);
            first += select(vec4<f32>(), vec4<f32>(1.0), chosen);
            second += select(vec4<f32>(), w, chosen);
            //: end
        }
        firsts[lane] = first;
        seconds[lane] = second;
    }
    //: if SHARED
    workgroupBarrier();
    //: end
    for (var half = p.half; half > 0u; half >>= 1u) {
        for (var base = 0u; base < half; base += LANE_STEP) {
            let lane = base + first_lane(thread);
            if (lane < half) {
                firsts[lane] += firsts[lane + half];
                seconds[lane] += seconds[lane + half];
            }
        }
        //: if SHARED
        workgroupBarrier();
        //: end
    }
    if (first_lane(thread) == 0u) {
        columns_put(2u * bin * p.quads + column, firsts[0]);
        columns_put((2u * bin + 1u) * p.quads + column, seconds[0]);
    }
}
