// The same sums as in bconv_registers; a workgroup of 64 makes 64 rows x 64 filters.
//
// Each step stages 4 words of every plane of 64 rows and of the signs of 64 filters in workgroup memory (at most 8 KiB); an invocation keeps
// 8 rows x 8 filters in registers, 8 apart, so that neighbours read neighbouring words.

var<workgroup> tile_a: array<u32, 256 * A_PLANES>; // [word][plane][row]
var<workgroup> tile_w: array<vec4<u32>, 64 * W_PLANES>; // [plane][word][filter quad]
//: if SIGNED
var<workgroup> tile_mask: array<u32, 64>; // [row]: all ones inside the input
//: end

@main {
    let rows = row_count();
    let row_tiles = (rows + 63u) / 64u;
    let tile = group_index(group, groups);
    let column_tile = tile / row_tiles;
    if (column_tile * 16u >= p.out_quads) { return; } // uniform: a folded grid has groups to spare
    let first_row = (tile - column_tile * row_tiles) * 64u;
    let first_column = column_tile * 16u;

    let at = locate(min(first_row + thread, rows - 1u));
    let w_word = thread >> 4u;
    let w_column = min(first_column + (thread & 15u), p.out_quads - 1u);
    let my_row = thread >> 3u;
    let my_column = thread & 7u;
    //: if COMBINED
    //: for m in 8
    //: for q in 2
    var y$m_$q = vec4<f32>();
    //: end
    //: end
    for (var term = 0u; term < TERMS; term++) {
    let first_plane = (term % BASES) * W_PLANES;
    //: else
    let first_plane = 0u;
    //: end
    //: for m in 8
    var all$m = 0u;
    //: for q in 2
    var both$m_$q = vec4<u32>();
    //: end
    //: end

    var tap = 0u;
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let from_row = source(at, r, s);
            let base = u32(max(from_row, 0)) * (BITS * WORDS);
            for (var first_word = 0u; first_word < WORDS; first_word += 4u) {
                for (var i = 0u; i < 4u; i++) {
                    let word = first_word + i;
                    let mask = select(0u, 0xffffffffu, from_row >= 0 && word < WORDS);
                    //: for b in A_PLANES
                    //: if LEVELS
                    tile_a[(i * A_PLANES + $bu) * 64u + thread] = at_least(base + min(word, WORDS - 1u), term / BASES + 1u) & mask;
                    //: else
                    tile_a[(i * A_PLANES + $bu) * 64u + thread] = x[base + $bu * WORDS + min(word, WORDS - 1u)] & mask;
                    //: end
                    //: end
                }
                //: if SIGNED
                tile_mask[thread] = select(0u, 0xffffffffu, from_row >= 0);
                //: end
                let sign_word = min(first_word + w_word, WORDS - 1u); // beyond the end the planes are zero, or the loop ends
                //: for j in W_PLANES
                tile_w[$ju * 64u + thread] =
                    signs_at(((tap * WORDS + sign_word) * SIGN_PLANES + first_plane + $ju) * p.out_quads + w_column);
                //: end
                workgroupBarrier();
                //: if SIGNED
                //: for m in 8
                let mask$m = tile_mask[$mu * 8u + my_row];
                if (first_word == 0u) { all$m += mask$m & CHANNELS; }
                //: end
                //: end
                for (var i = 0u; i < min(4u, WORDS - first_word); i++) {
                    //: for j in W_PLANES
                    let w0_$j = tile_w[$ju * 64u + i * 16u + my_column];
                    let w1_$j = tile_w[$ju * 64u + i * 16u + 8u + my_column];
                    //: end
                    //: for b in A_PLANES
                    //: for m in 8
                    let a$m_$b = tile_a[(i * A_PLANES + $bu) * 64u + $mu * 8u + my_row];
                    //: if SIGNED
                    //: for j in W_PLANES
                    both$m_0 += countOneBits((vec4<u32>(a$m_$b) ^ w0_$j) & vec4<u32>(mask$m)) << vec4<u32>($ju);
                    both$m_1 += countOneBits((vec4<u32>(a$m_$b) ^ w1_$j) & vec4<u32>(mask$m)) << vec4<u32>($ju);
                    //: end
                    //: else
                    all$m += countOneBits(a$m_$b) << $bu;
                    //: for j in W_PLANES
                    both$m_0 += countOneBits(vec4<u32>(a$m_$b) & w0_$j) << vec4<u32>($bu + $ju);
                    both$m_1 += countOneBits(vec4<u32>(a$m_$b) & w1_$j) << vec4<u32>($bu + $ju);
                    //: end
                    //: end
                    //: end
                    //: end
                }
                workgroupBarrier();
            }
            tap++;
        }
    }
    //: if COMBINED
    //: for m in 8
    //: for q in 2
    y$m_$q += coefficient(term, min(first_column + $qu * 8u + my_column, p.out_quads - 1u))
        * vec4<f32>(signed_sum(both$m_$q, all$m));
    //: end
    //: end
    }
    //: end
    //: for m in 8
    //: for q in 2
    let row$m_$q = first_row + $mu * 8u + my_row;
    let column$m_$q = first_column + $qu * 8u + my_column;
    if (row$m_$q < rows && column$m_$q < p.out_quads) {
        let to$m_$q = row$m_$q * p.out_quads + column$m_$q;
        //: if COMBINED
        s_put(to$m_$q, shared_scale() * y$m_$q);
        //: else
        s_put_int(to$m_$q, keep_filters(signed_sum(both$m_$q, all$m), column$m_$q));
        //: end
    }
    //: end
    //: end
}
