// s = sum over taps, words and planes of 2^p (2 popcount(w & a_p) - popcount(a_p)); a workgroup of 64 makes 64 rows x 64 filters.
//
// Each step stages 4 words of every plane of 64 rows and of the signs of 64 filters in workgroup memory (at most 8 KiB); an invocation keeps
// 8 rows x 8 filters in registers, 8 apart, so that neighbours read neighbouring words.

var<workgroup> tile_a: array<u32, 256 * BITS>; // [word][plane][row]
var<workgroup> tile_w: array<vec4<u32>, 64>; // [word][filter quad]

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
                    //: for b in BITS
                    tile_a[(i * BITS + $bu) * 64u + thread] = x[base + $bu * WORDS + min(word, WORDS - 1u)] & mask;
                    //: end
                }
                let sign_word = min(first_word + w_word, WORDS - 1u); // beyond the end the planes are zero
                tile_w[thread] = signs_at((tap * WORDS + sign_word) * p.out_quads + w_column);
                workgroupBarrier();
                for (var i = 0u; i < min(4u, WORDS - first_word); i++) {
                    let w0 = tile_w[i * 16u + my_column];
                    let w1 = tile_w[i * 16u + 8u + my_column];
                    //: for b in BITS
                    //: for m in 8
                    let a$m_$b = tile_a[(i * BITS + $bu) * 64u + $mu * 8u + my_row];
                    all$m += countOneBits(a$m_$b) << $bu;
                    both$m_0 += countOneBits(vec4<u32>(a$m_$b) & w0) << vec4<u32>($bu);
                    both$m_1 += countOneBits(vec4<u32>(a$m_$b) & w1) << vec4<u32>($bu);
                    //: end
                    //: end
                }
                workgroupBarrier();
            }
            tap++;
        }
    }
    //: for m in 8
    //: for q in 2
    let row$m_$q = first_row + $mu * 8u + my_row;
    let column$m_$q = first_column + $qu * 8u + my_column;
    if (row$m_$q < rows && column$m_$q < p.out_quads) {
        let sum$m_$q = 2 * bitcast<vec4<i32>>(both$m_$q) - vec4<i32>(i32(all$m));
        s_put_int(row$m_$q * p.out_quads + column$m_$q, keep_filters(sum$m_$q, column$m_$q));
    }
    //: end
    //: end
}
