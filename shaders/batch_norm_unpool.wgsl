// The gradient of a max-pool next to a batch-norm: dy goes to the largest value of its window, at
// the tap that the pool recorded (two bits per channel). UNPOOLED: the pool follows the batch-norm,
// and dz is read through it; otherwise it precedes the batch-norm, and dx is written through it.

// The tap of the largest value, for a quad of channels.
fn tap_of(row: u32, quad: u32) -> vec4<u32> {
    let words = (p.quads + 7u) / 8u;
    let at = row * 2u * words + quad / 8u;
    let shift = vec4<u32>((quad % 8u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let low = (vec4<u32>(argmax[at]) >> shift) & vec4<u32>(1u);
    let high = (vec4<u32>(argmax[at + words]) >> shift) & vec4<u32>(1u);
    return low | (high << vec4<u32>(1u));
}

//: if UNPOOLED
fn dz_of(i: u32, quad: u32) -> vec4<f32> {
    let row = i / p.quads;
    let line = row / IN_W;
    let image = line / IN_H;
    let y = line - image * IN_H;
    let x = row - line * IN_W;
    let oy = y / STRIDE_H;
    let ox = x / STRIDE_W;
    let r = y - oy * STRIDE_H;
    let s = x - ox * STRIDE_W;
    let under = (r < KERNEL_H) & (s < KERNEL_W) & (oy < OUT_H) & (ox < OUT_W);
    let from_row = (image * OUT_H + min(oy, OUT_H - 1u)) * OUT_W + min(ox, OUT_W - 1u);
    let here = vec4<bool>(under) & (tap_of(from_row, quad) == vec4<u32>(r * KERNEL_W + s));
    return select(vec4<f32>(), dz_at(from_row * p.quads + quad), here);
}
//: else
fn put(i: u32, quad: u32, v: vec4<f32>) {
    let row = i / p.quads;
    let line = row / OUT_W;
    let image = line / OUT_H;
    let oy = line - image * OUT_H;
    let ox = row - line * OUT_W;
    let tap = tap_of(row, quad);
    for (var r = 0u; r < STRIDE_H; r++) {
        let y = oy * STRIDE_H + r;
        for (var s = 0u; s < STRIDE_W; s++) {
            let x = ox * STRIDE_W + s;
            if (y < IN_H && x < IN_W) {
                let under = (r < KERNEL_H) & (s < KERNEL_W);
                let here = vec4<bool>(under) & (tap == vec4<u32>(r * KERNEL_W + s));
                dx_put(((image * IN_H + y) * IN_W + x) * p.quads + quad, select(vec4<f32>(), v, here));
            }
        }
    }
}
//: end
