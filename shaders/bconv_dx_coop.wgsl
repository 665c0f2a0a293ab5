// The input gradient of a packed convolution on cooperative matrices: a is dy times α, split into
// two half floats, b is the signs. A step is a tap of 16 filters; the taps of these filters are
// consecutive. The channels of a word have the order 0, 16, 1, 17, ….

fn result_rows() -> u32 { return row_count(); }
fn result_columns() -> u32 { return 4u * p.in_quads; }
fn step_count() -> u32 { return u32(p.kernel_h * p.kernel_w) * ((p.out_quads + DEPTH / 4u - 1u) / (DEPTH / 4u)); }
fn part_steps() -> u32 { return p.of_part; }

//: for i in A_LOADS
var<private> at$i: vec3<i32>;
var<private> dy$i: vec4<f32>;
var<private> alpha$i: vec4<f32>;
var<private> inside$i: bool;
//: end
//: for i in B_LOADS
var<private> word$i: u32;
var<private> signs$i: u32;
//: end

fn begin(thread: u32, first_row: u32, first_column: u32) {
    //: for i in A_LOADS
    at$i = locate(min(first_row + (thread + $iu * THREADS) / (DEPTH / 4u), row_count() - 1u));
    //: end
    //: for i in B_LOADS
    word$i = min(first_column / 32u + (thread + $iu * THREADS) % (COLUMNS / 32u), p.words - 1u);
    //: end
}

fn fetch(thread: u32, step: u32) {
    let taps = u32(p.kernel_h * p.kernel_w);
    let filters = step / taps * (DEPTH / 4u); // the first quad
    let tap = step % taps;
    let r = i32(tap) / p.kernel_w;
    let s = i32(tap) - r * p.kernel_w;
    //: for i in A_LOADS
    let from$i = source(at$i, r, s);
    let quad$i = filters + thread % (DEPTH / 4u); // THREADS is a multiple of it
    let there$i = min(quad$i, p.out_quads - 1u);
    dy$i = dy_at(u32(max(from$i, 0)) * p.out_quads + there$i);
    alpha$i = alpha_at(there$i);
    inside$i = select(-1, from$i, quad$i < p.out_quads) >= 0;
    //: end
    //: for i in B_LOADS
    let filter$i = min(4u * filters + (thread + $iu * THREADS) / (COLUMNS / 32u), 4u * p.out_quads - 1u);
    let of_quad$i = signs_at((tap * p.words + word$i) * p.out_quads + filter$i / 4u);
    signs$i = of_quad$i[filter$i % 4u];
    //: end
}

fn stage(thread: u32) {
    //: for i in A_LOADS
    if (thread + $iu * THREADS < A_ITEMS) {
        let item = thread + $iu * THREADS;
        a_put(item / (DEPTH / 4u) * A_STRIDE + item % (DEPTH / 4u), select(vec4<f32>(), dy$i * alpha$i, inside$i));
    }
    //: end
    //: for i in B_LOADS
    if (thread + $iu * THREADS < B_ITEMS) {
        let item = thread + $iu * THREADS;
        let to = item / (COLUMNS / 32u) * B_STRIDE + item % (COLUMNS / 32u) * 8u;
        //: for j in 8
        tile_b[to + $ju] = sign_halves(signs$i << (15u - 2u * $ju), 0xbc00bc00u, signs$i << (14u - 2u * $ju));
        //: end
    }
    //: end
}

fn give(part: u32, row: u32, quad: u32, v: vec4<f32>) {
    if (select(row_count(), row, quad < p.in_quads) < row_count()) {
        out_put((part * row_count() + row) * p.in_quads + quad, v * inverse_of(a_scale));
    }
}
