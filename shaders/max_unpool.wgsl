// A cell has the size of the window's stride, and the taps are its upper left part: dy goes to the
// tap of the largest value.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let cell = item / p.in_quads;
    let quad = item - cell * p.in_quads;
    let line = cell / CELLS_W;
    let image = line / CELLS_H;
    if (image >= p.images) { return; }
    let oy = i32(line - image * CELLS_H);
    let ox = i32(cell - line * CELLS_W);
    var dy = vec4<f32>();
    // An index that matches no tap.
    var tap = vec4<f32>(4.0);
    if (oy < p.out_h && ox < p.out_w) {
        let row = u32((i32(image) * p.out_h + oy) * p.out_w + ox);
        dy = dy_at(row * p.in_quads + quad);
        tap = code_quad(row, quad, (p.in_quads + 7u) / 8u);
    }
    for (var r = 0; r < p.stride_h; r++) {
        let y = oy * p.stride_h + r;
        for (var s = 0; s < p.stride_w; s++) {
            let x = ox * p.stride_w + s;
            if (y < p.in_h && x < p.in_w) {
                let under = r < p.kernel_h && s < p.kernel_w;
                let here = vec4<bool>(under) & (tap == vec4<f32>(f32(r * p.kernel_w + s)));
                let row = u32((i32(image) * p.in_h + y) * p.in_w + x);
                dx_put(row * p.in_quads + quad, select(vec4<f32>(), dy, here));
            }
        }
    }
}
