// The matrix product of a float convolution on cooperative matrices, both operands split into two
// half floats; the product of the two lower halves is below the precision that is kept and omitted.
// A step is a tap of DEPTH channels of the gathered operand; the taps of these channels are
// consecutive. The op's text defines the gathered operand (`a_quad`) and the columns and lengths of
// its weights.

fn result_rows() -> u32 { return row_count(); }
fn result_columns() -> u32 { return 4u * column_quads(); }
fn step_count() -> u32 { return u32(p.kernel_h * p.kernel_w) * ((length_quads() + DEPTH / 4u - 1u) / (DEPTH / 4u)); }
fn part_steps() -> u32 { return p.of_part; }

//: for i in A_LOADS
var<private> at$i: vec3<i32>;
var<private> a$i: vec4<f32>;
var<private> inside$i: bool;
//: end
//: for i in B_LOADS
var<private> line$i: u32; // a quad of columns, or a column
var<private> b$i: vec4<f32>;
//: end

fn begin(thread: u32, first_row: u32, first_column: u32) {
    //: for i in A_LOADS
    at$i = locate(min(first_row + (thread + $iu * THREADS) / (DEPTH / 4u), row_count() - 1u));
    //: end
    //: for i in B_LOADS
    //: if B_BY_COLUMN
    line$i = min(first_column + (thread + $iu * THREADS) / (DEPTH / 4u), result_columns() - 1u);
    //: else
    line$i = min(first_column / 4u + (thread + $iu * THREADS) % (COLUMNS / 4u), column_quads() - 1u);
    //: end
    //: end
}

fn fetch(thread: u32, step: u32) {
    let taps = u32(p.kernel_h * p.kernel_w);
    let length = length_quads();
    let first = step / taps * (DEPTH / 4u); // the first quad
    let tap = step % taps;
    let r = i32(tap) / p.kernel_w;
    let s = i32(tap) - r * p.kernel_w;
    //: for i in A_LOADS
    let from$i = source(at$i, r, s);
    let quad$i = first + thread % (DEPTH / 4u); // THREADS is a multiple of it
    a$i = a_quad(u32(max(from$i, 0)) * length + min(quad$i, length - 1u));
    inside$i = select(-1, from$i, quad$i < length) >= 0;
    //: end
    //: for i in B_LOADS
    //: if B_BY_COLUMN
    let of_line$i = min(first + thread % (DEPTH / 4u), length - 1u);
    b$i = w_at((tap * result_columns() + line$i) * length + of_line$i);
    //: else
    let of_line$i = min(4u * first + (thread + $iu * THREADS) / (COLUMNS / 4u), 4u * length - 1u); // beyond the last row, a is zero
    b$i = w_at((tap * 4u * length + of_line$i) * column_quads() + line$i);
    //: end
    //: end
}

fn stage(thread: u32) {
    //: for i in A_LOADS
    if (thread + $iu * THREADS < A_ITEMS) {
        let item = thread + $iu * THREADS;
        a_put(item / (DEPTH / 4u) * A_STRIDE + item % (DEPTH / 4u), select(vec4<f32>(), a$i, inside$i));
    }
    //: end
    //: for i in B_LOADS
    if (thread + $iu * THREADS < B_ITEMS) {
        let item = thread + $iu * THREADS;
        //: if B_BY_COLUMN
        b_put(item / (DEPTH / 4u) * B_STRIDE + item % (DEPTH / 4u), b$i);
        //: else
        b_put(item / (COLUMNS / 4u) * B_STRIDE + item % (COLUMNS / 4u), b$i);
        //: end
    }
    //: end
}

fn give(part: u32, row: u32, quad: u32, v: vec4<f32>) {
    if (select(row_count(), row, quad < column_quads()) < row_count()) {
        out_put((part * row_count() + row) * column_quads() + quad, v * inverse_of(a_scale) * inverse_of(b_scale));
    }
}
