// The largest |x|, or |x · factor| with a factor for each lane of a row, lane by lane, over the
// share of this workgroup, one of LARGEST.

var<workgroup> lanes: array<vec4<f32>, THREADS>;

@main {
    let place = group_index(group, groups);
    var largest = vec4<f32>();
    for (var i = place * THREADS + thread; i < p.quads; i += LARGEST * THREADS) {
        //: if WEIGHTED
        largest = max(largest, abs(x_at(i) * factor_at(i % p.factor_quads)));
        //: else
        largest = max(largest, abs(x_at(i)));
        //: end
    }
    lanes[thread] = largest;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
        if (thread < half) { lanes[thread] = max(lanes[thread], lanes[thread + half]); }
        workgroupBarrier();
    }
    if (thread == 0u) { largest_put(place, lanes[0]); }
}
