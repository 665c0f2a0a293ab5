// s = sum over taps, words and planes of 2^(p + j) (2 popcount(w_j & a_p) - popcount(a_p)); one
// invocation computes ROWS rows of 4 CQ filters. Signs are compared instead of masked. COMBINED:
// the sum of such sums for each term, times its coefficient.
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
    //: end
    //: if COMBINED
    //: for m in ROWS
    //: for q in CQ
    var y$m_$q = vec4<f32>();
    //: end
    //: end
    for (var term = 0u; term < TERMS; term++) {
    var sign_at = (term % BASES) * W_PLANES * p.out_quads + column * CQ;
    //: else
    var sign_at = column * CQ;
    //: end
    //: for m in ROWS
    var all$m = 0u;
    //: for q in CQ
    var both$m_$q = vec4<u32>();
    //: end
    //: end
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            //: for m in ROWS
            let source$m = source(at$m, r, s);
            let mask$m = select(0u, 0xffffffffu, source$m >= 0);
            let base$m = u32(max(source$m, 0)) * (BITS * WORDS);
            //: if SIGNED
            all$m += mask$m & CHANNELS;
            //: end
            //: end
            for (var word = 0u; word < WORDS; word++) {
                //: for q in CQ
                //: for j in W_PLANES
                let w$q_$j = signs_at(sign_at + $ju * p.out_quads + $qu);
                //: end
                //: end
                //: for m in ROWS
                //: for b in A_PLANES
                //: if LEVELS
                let a$m_$b = at_least(base$m + word, term / BASES + 1u) & mask$m;
                //: else
                let a$m_$b = x[base$m + $bu * WORDS + word] & mask$m;
                //: end
                //: if SIGNED
                //: for q in CQ
                //: for j in W_PLANES
                both$m_$q += countOneBits((vec4<u32>(a$m_$b) ^ w$q_$j) & vec4<u32>(mask$m)) << vec4<u32>($ju);
                //: end
                //: end
                //: else
                all$m += countOneBits(a$m_$b) << $bu;
                //: for q in CQ
                //: for j in W_PLANES
                both$m_$q += countOneBits(vec4<u32>(a$m_$b) & w$q_$j) << vec4<u32>($bu + $ju);
                //: end
                //: end
                //: end
                //: end
                //: end
                sign_at += SIGN_PLANES * p.out_quads;
            }
        }
    }
    //: if COMBINED
    //: for m in ROWS
    //: for q in CQ
    y$m_$q += coefficient(term, column * CQ + $qu) * vec4<f32>(signed_sum(both$m_$q, all$m));
    //: end
    //: end
    }
    //: end
    //: for m in ROWS
    if (first + $mu < rows) {
        //: for q in CQ
        let to$m_$q = (first + $mu) * p.out_quads + column * CQ + $qu;
        //: if COMBINED
        s_put(to$m_$q, shared_scale() * y$m_$q);
        //: else
        s_put_int(to$m_$q, keep_filters(signed_sum(both$m_$q, all$m), column * CQ + $qu));
        //: end
        //: end
    }
    //: end
}
