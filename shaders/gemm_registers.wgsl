// out[row, n] = sum over taps and l of a[source(row, tap), l] * b[tap, l, n]; one invocation makes ROWS rows of 4 CQ columns.
//
// Lanes of a subgroup differ in rows and share columns, so that all of them load the same b. No workgroup memory: made for
// software drivers, where loads are gathers and barriers cost more than they save.

@main {
    let rows = row_count();
    let blocks = (rows + ROWS - 1u) / ROWS;
    let item = group_index(group, groups) * THREADS + thread;
    let group_of_columns = item / blocks;
    let column = group_of_columns * CQ;
    if (column >= column_quads()) { return; }
    let first = (item - group_of_columns * blocks) * ROWS;
    //: for m in ROWS
    let at$m = locate(min(first + $mu, rows - 1u));
    //: for q in CQ
    var sum$m_$q = vec4<f32>();
    //: end
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
                b_load(tap, l, column);
                //: for q in CQ
                let b$q = b_block(tap, l, column + $qu);
                //: end
                //: for m in ROWS
                let a$m = select(vec4<f32>(), a_quad(base$m + l), inside$m);
                //: for q in CQ
                sum$m_$q += a$m.x * b$q[0];
                sum$m_$q += a$m.y * b$q[1];
                sum$m_$q += a$m.z * b$q[2];
                sum$m_$q += a$m.w * b$q[3];
                //: end
                //: end
            }
            tap++;
        }
    }
    //: for m in ROWS
    if (first + $mu < rows) {
        //: for q in CQ
        out_put((first + $mu) * column_quads() + column + $qu, sum$m_$q);
        //: end
    }
    //: end
}
