// The weight gradient of a packed convolution on cooperative matrices: a is codes, b is dy
// (dy_coop.wgsl); both are stored by rows of dy. Rows of the result are channels of taps; those of
// a word have the order 0, 16, 1, 17, …. Their codes are stored in subnormal half floats
// (bconv_coop.wgsl), so each result is scaled by a power of two that depends on its channel.

fn result_rows() -> u32 { return u32(p.kernel_h * p.kernel_w) * p.words * 32u; }

//: for i in A_LOADS
var<private> word$i: u32;
var<private> r$i: i32;
var<private> s$i: i32;
var<private> low$i: u32;
var<private> high$i: u32;
//: end

fn begin(thread: u32, first_row: u32, first_column: u32) {
    //: for i in A_LOADS
    let block$i = min(first_row / 32u + (thread + $iu * THREADS) % (ROWS / 32u), result_rows() / 32u - 1u);
    let tap$i = block$i / p.words;
    word$i = block$i - tap$i * p.words;
    r$i = i32(tap$i) / p.kernel_w;
    s$i = i32(tap$i) - r$i * p.kernel_w;
    //: end
    begin_dy(thread, first_column);
}

fn fetch(thread: u32, step: u32) {
    //: for i in A_LOADS
    let row$i = step * DEPTH + (thread + $iu * THREADS) / (ROWS / 32u);
    let from$i = source(locate(min(row$i, row_count() - 1u)), r$i, s$i);
    let inside$i = select(0u, 0xffffffffu, select(-1, from$i, row$i < row_count()) >= 0);
    let first$i = u32(max(from$i, 0)) * (BITS * p.words) + word$i;
    low$i = x[first$i] & inside$i;
    //: if TWO_BITS
    high$i = x[first$i + p.words] & inside$i;
    //: end
    //: end
    fetch_dy(thread, step);
}

fn stage(thread: u32) {
    //: for i in A_LOADS
    if (thread + $iu * THREADS < A_ITEMS) {
        let item = thread + $iu * THREADS;
        a_put(item / (ROWS / 32u) * A_STRIDE + item % (ROWS / 32u) * 8u, low$i, high$i);
    }
    //: end
    stage_dy(thread);
}

fn give(part: u32, row: u32, quad: u32, v: vec4<f32>) {
    let block = row / 32u;
    let tap = block / p.words;
    let place = row % 32u;
    let channel = (block - tap * p.words) * 32u + place / 2u + 16u * (place % 2u);
    let shift = place / 4u % 5u; // codes of this quad are scaled by 4^shift · 2^-24
    let lanes = 4u * p.in_quads;
    if (select(result_rows(), row, channel < lanes) < select(0u, result_rows(), quad < p.out_quads)) {
        let of_tap = part * u32(p.kernel_h * p.kernel_w) + tap;
        let factor = scale() * bitcast<f32>((151u - 2u * shift) << 23u) * inverse_of(b_scale);
        part_put((of_tap * lanes + channel) * p.out_quads + quad, v * factor);
    }
}
