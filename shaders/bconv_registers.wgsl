// s = sum over taps, words and planes of 2^p (2 popcount(w & a_p) - popcount(a_p)); one invocation makes ROWS rows of 4 CQ filters.
//
// Lanes of a subgroup differ in rows and share filters. No workgroup memory: see gemm_registers.

@main {
    let rows = row_count();
    let blocks = (rows + ROWS - 1u) / ROWS;
    let item = group_index(group, groups) * THREADS + thread;
    let column = item / blocks;
    if (column * CQ >= p.out_quads) { return; }
    let first = (item - column * blocks) * ROWS;
    //: for m in ROWS
    let at$m = locate(min(first + $mu, rows - 1u));
    var all$m = 0u;
    //: for q in CQ
    var both$m_$q = vec4<u32>();
    //: end
    //: end
    var sign_at = column * CQ;
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            //: for m in ROWS
            let source$m = source(at$m, r, s);
            let mask$m = select(0u, 0xffffffffu, source$m >= 0);
            let base$m = u32(max(source$m, 0)) * (BITS * WORDS);
            //: end
            for (var word = 0u; word < WORDS; word++) {
                //: for q in CQ
                let w$q = signs_at(sign_at + $qu);
                //: end
                //: for m in ROWS
                //: for b in BITS
                let a$m_$b = x[base$m + $bu * WORDS + word] & mask$m;
                all$m += countOneBits(a$m_$b) << $bu;
                //: for q in CQ
                both$m_$q += countOneBits(vec4<u32>(a$m_$b) & w$q) << vec4<u32>($bu);
                //: end
                //: end
                //: end
                sign_at += p.out_quads;
            }
        }
    }
    //: for m in ROWS
    if (first + $mu < rows) {
        //: for q in CQ
        let sum$m_$q = 2 * bitcast<vec4<i32>>(both$m_$q) - vec4<i32>(i32(all$m));
        s_put_int((first + $mu) * p.out_quads + column * CQ + $qu, keep_filters(sum$m_$q, column * CQ + $qu));
        //: end
    }
    //: end
}
