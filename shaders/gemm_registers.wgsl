// out[row, n] = sum over taps and l of a[source(row, tap), l] * b[tap, l, n]; one invocation
// computes ROWS rows of 4 CQ columns.
//
// Lanes of a subgroup differ in rows and share columns, so all of them load the same b. No
// workgroup memory: intended for software drivers, on which loads are gathers and barriers cost
// more than they save. The parts of the sum are consecutive in the output.

@main {
    let rows = row_count();
    let blocks = (rows + ROWS - 1u) / ROWS;
    let items = blocks * ((column_quads() + CQ - 1u) / CQ);
    let index = group_index(group, groups) * THREADS + thread;
    let part = index / items;
    if (part >= p.parts) { return; }
    let item = index - part * items;
    let group_of_columns = item / blocks;
    let column = group_of_columns * CQ;
    let first = (item - group_of_columns * blocks) * ROWS;
    //: for m in ROWS
    let at$m = locate(min(first + $mu, rows - 1u));
    //: for q in CQ
    var total$m_$q = vec4<f32>();
    //: end
    //: end
    // The chunks of this part; each is up to CHUNK_QUADS quads of l, starting at `start`, of tap
    // (r, s).
    let length = length_quads();
    let of_tap = (length + CHUNK_QUADS - 1u) / CHUNK_QUADS;
    let first_chunk = part * p.of_part;
    let last_chunk = min(first_chunk + p.of_part, u32(p.kernel_h * p.kernel_w) * of_tap);
    var tap = first_chunk / of_tap;
    var start = (first_chunk - tap * of_tap) * CHUNK_QUADS;
    var r = i32(tap) / p.kernel_w;
    var s = i32(tap) - r * p.kernel_w;
    for (var chunk = first_chunk; chunk < last_chunk; chunk++) {
        //: for m in ROWS
        let source$m = source(at$m, r, s);
        let base$m = u32(max(source$m, 0)) * length;
        let inside$m = source$m >= 0;
        //: for q in CQ
        var sum$m_$q = vec4<f32>();
        //: end
        //: end
        let stop = min(start + CHUNK_QUADS, length);
        for (var l = start; l < stop; l++) {
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
        //: for m in ROWS
        //: for q in CQ
        total$m_$q += sum$m_$q;
        //: end
        //: end
        start += CHUNK_QUADS;
        if (start >= length) {
            start = 0u;
            tap++;
            s++;
            if (s == p.kernel_w) {
                s = 0;
                r++;
            }
        }
    }
    //: for m in ROWS
    if (first + $mu < rows) {
        //: for q in CQ
        out_put((part * rows + first + $mu) * column_quads() + column + $qu, total$m_$q);
        //: end
    }
    //: end
}
