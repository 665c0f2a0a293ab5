// The weight gradient of a float convolution on cooperative matrices: a is the input, split into
// two half floats, b is dy (dy_coop.wgsl); both are stored by rows of dy. Rows of the result are
// channels of taps.

fn result_rows() -> u32 { return u32(p.kernel_h * p.kernel_w) * 4u * p.in_quads; }

//: for i in A_LOADS
var<private> quad$i: u32;
var<private> r$i: i32;
var<private> s$i: i32;
var<private> x$i: vec4<f32>;
var<private> inside$i: bool;
//: end

fn begin(thread: u32, first_row: u32, first_column: u32) {
    //: for i in A_LOADS
    let of_all$i = min(first_row / 4u + (thread + $iu * THREADS) % (ROWS / 4u), result_rows() / 4u - 1u);
    let tap$i = of_all$i / p.in_quads;
    quad$i = of_all$i - tap$i * p.in_quads;
    r$i = i32(tap$i) / p.kernel_w;
    s$i = i32(tap$i) - r$i * p.kernel_w;
    //: end
    begin_dy(thread, first_column);
}

fn fetch(thread: u32, step: u32) {
    //: for i in A_LOADS
    let row$i = step * DEPTH + (thread + $iu * THREADS) / (ROWS / 4u);
    let from$i = source(locate(min(row$i, row_count() - 1u)), r$i, s$i);
    x$i = x_at(u32(max(from$i, 0)) * p.in_quads + quad$i);
    inside$i = select(-1, from$i, row$i < row_count()) >= 0;
    //: end
    fetch_dy(thread, step);
}

fn stage(thread: u32) {
    //: for i in A_LOADS
    if (thread + $iu * THREADS < A_ITEMS) {
        let item = thread + $iu * THREADS;
        a_put(item / (ROWS / 4u) * A_STRIDE + item % (ROWS / 4u), select(vec4<f32>(), x$i, inside$i));
    }
    //: end
    stage_dy(thread);
}

fn give(part: u32, row: u32, quad: u32, v: vec4<f32>) {
    if (select(result_rows(), row, quad < p.out_quads) < result_rows()) {
        part_put((part * result_rows() + row) * p.out_quads + quad, v * inverse_of(a_scale) * inverse_of(b_scale));
    }
}
