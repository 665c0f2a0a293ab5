// Each input gathers dy from the windows of which it is the first largest value (in row-major
// order). No atomics, and exact for overlapping windows.

//: if BITS
fn value(row: u32, quad: u32) -> vec4<f32> { return code_quad(row, quad, (p.in_quads + 7u) / 8u); }
//: else
fn value(row: u32, quad: u32) -> vec4<f32> { return x_at(row * p.in_quads + quad); }
//: end

// Whether the value `mine` at tap (mr, ms) of window (oy, ox) is the first largest, per channel.
fn wins(image: i32, oy: i32, ox: i32, mr: i32, ms: i32, mine: vec4<f32>, quad: u32) -> vec4<bool> {
    var first = vec4<bool>(true);
    for (var r = 0; r < p.kernel_h; r++) {
        let y = oy * p.stride_h + r - p.pad_h;
        for (var s = 0; s < p.kernel_w; s++) {
            let x_at = ox * p.stride_w + s - p.pad_w;
            if (y >= 0 && y < p.in_h && x_at >= 0 && x_at < p.in_w && (r != mr || s != ms)) {
                let other = value(u32((image * p.in_h + y) * p.in_w + x_at), quad);
                let earlier = r < mr || (r == mr && s < ms);
                first = first & select(other <= mine, other < mine, earlier);
            }
        }
    }
    return first;
}

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let row = item / p.in_quads;
    let quad = item - row * p.in_quads;
    if (row >= row_count()) { return; }
    let at = locate(row);
    let mine = value(row, quad);
    let image = at.x / (p.out_h * p.out_w);
    var sum = vec4<f32>();
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let target_row = source(at, r, s);
            if (target_row >= 0) {
                let inside = target_row - at.x;
                let oy = inside / p.out_w;
                let first = wins(image, oy, inside - oy * p.out_w, r, s, mine, quad);
                sum += select(vec4<f32>(), dy_at(u32(target_row) * p.in_quads + quad), first);
            }
        }
    }
    dx_put(item, sum);
}
