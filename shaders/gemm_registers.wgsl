// out[row, n] = sum over taps and l of a[source(row, tap), l] * b[tap, l, n]; one invocation makes ROWS rows of 4 columns.
//
// Lanes of a subgroup differ in rows and share columns, so that all of them load the same b. No workgroup memory: made for
// software drivers, where loads are gathers and barriers cost more than they save.

@main {
    let rows = row_count();
    let blocks = (rows + ROWS - 1u) / ROWS;
    let item = group_index(group, groups) * THREADS + thread;
    let column = item / blocks;
    if (column >= column_quads()) { return; }
    let first = (item - column * blocks) * ROWS;
    //: for m in ROWS
    let at$m = locate(min(first + $mu, rows - 1u));
    var sum$m = vec4<f32>();
    //: end
    let length = length_quads();
    var tap = 0u;
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            //: for m in ROWS
            let source$m = source(at$m, r, s);
            let base$m = u32(max(source$m, 0)) * length;
            let inside$m = source$m >= 0;
            //: end
            for (var l = 0u; l < length; l++) {
                let b = b_block(tap, l, column);
                //: for m in ROWS
                let a$m = select(vec4<f32>(), a_quad(base$m + l), inside$m);
                sum$m += a$m.x * b[0];
                sum$m += a$m.y * b[1];
                sum$m += a$m.z * b[2];
                sum$m += a$m.w * b[3];
                //: end
            }
            tap++;
        }
    }
    //: for m in ROWS
    if (first + $mu < rows) { out_put((first + $mu) * column_quads() + column, sum$m); }
    //: end
}
