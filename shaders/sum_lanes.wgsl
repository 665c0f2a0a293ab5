// A reduction that sums floats: `fn term(item, row)` of the op's body, for the rows below
// `fn row_count()`.

alias Lane = vec4<f32>;

fn combined(a: Lane, b: Lane) -> Lane { return a + b; }

fn of_lane(item: u32, lane: u32) -> Lane {
    sum_start();
    let rows = row_count();
    var row = lane;
    // Terms are added sequentially; their operands can be loaded together.
    for (; row + 192u < rows; row += 256u) {
        //: for t in 4
        let term$t = term(item, row + 64u * $tu);
        //: end
        //: for t in 4
        sum_term(term$t);
        //: end
    }
    for (; row < rows; row += 64u) { sum_term(term(item, row)); }
    return sum_result();
}
