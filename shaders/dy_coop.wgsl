// The gradient as operand b of a weight gradient on cooperative matrices: split into two half
// floats, by rows of dy, DEPTH rows per step; the result has one column per filter.

fn result_columns() -> u32 { return 4u * p.out_quads; }
fn step_count() -> u32 { return (row_count() + DEPTH - 1u) / DEPTH; }
fn part_steps() -> u32 { return p.of_part; }

//: for i in B_LOADS
var<private> column$i: u32;
var<private> dy$i: vec4<f32>;
//: end

fn begin_dy(thread: u32, first_column: u32) {
    //: for i in B_LOADS
    column$i = min(first_column / 4u + (thread + $iu * THREADS) % (COLUMNS / 4u), p.out_quads - 1u);
    //: end
}

fn fetch_dy(thread: u32, step: u32) {
    //: for i in B_LOADS
    let row$i = min(step * DEPTH + (thread + $iu * THREADS) / (COLUMNS / 4u), row_count() - 1u); // beyond the last row, a is zero
    dy$i = dy_at(row$i * p.out_quads + column$i);
    //: end
}

fn stage_dy(thread: u32) {
    //: for i in B_LOADS
    if (thread + $iu * THREADS < B_ITEMS) {
        let item = thread + $iu * THREADS;
        b_put(item / (COLUMNS / 4u) * B_STRIDE + item % (COLUMNS / 4u), dy$i);
    }
    //: end
}
