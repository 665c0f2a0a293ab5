// The largest value in each window, four channels at a time; padding is never selected. RECTIFIED:
// of x after a batch-norm and a rectifier.

//: if RECTIFIED
fn value_at(i: u32) -> vec4<f32> { return max(x_at(i), vec4<f32>()); }
//: else
fn value_at(i: u32) -> vec4<f32> { return x_at(i); }
//: end

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let row = item / p.in_quads;
    let quad = item - row * p.in_quads;
    if (row >= row_count()) { return; }
    let at = locate(row);
    //: if RECTIFIED
    x_prepare(quad);
    //: end
    var best = vec4<f32>(-3.4e38);
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let from_row = source(at, r, s);
            if (from_row >= 0) { best = max(best, value_at(u32(from_row) * p.in_quads + quad)); }
        }
    }
    //: if EXACT
    y_put_int(item, vec4<i32>(best));
    //: else
    y_put(item, best);
    //: end
}
