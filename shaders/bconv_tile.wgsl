// The same sums as in bconv_registers; a workgroup computes a tile of THREADS rows x 4 COLUMN_QUADS
// filters.
//
// Each step stages 4 words of every plane of the rows and of the signs of the filters in workgroup
// memory; an invocation keeps ROWS rows x 4 CQ filters in registers, DOWN and ACROSS apart, so that
// neighbours read neighbouring words.

const ACROSS = COLUMN_QUADS / CQ; // invocations along the filters of a tile
const DOWN = THREADS / ACROSS;

var<workgroup> tile_a: array<u32, 4 * THREADS * A_PLANES>; // [word][plane][row]
var<workgroup> tile_w: array<vec4<u32>, 4 * COLUMN_QUADS * W_PLANES>; // [plane][word][filter quad]
//: if SIGNED
var<workgroup> tile_mask: array<u32, THREADS>; // [row]: all ones inside the input
//: end

@main {
    let rows = row_count();
    let row_tiles = (rows + THREADS - 1u) / THREADS;
    let tile = group_index(group, groups);
    let column_tile = tile / row_tiles;
    if (column_tile * COLUMN_QUADS >= p.out_quads) { return; } // uniform: a folded grid has surplus workgroups
    let first_row = (tile - column_tile * row_tiles) * THREADS;
    let first_column = column_tile * COLUMN_QUADS;

    let at = locate(min(first_row + thread, rows - 1u));
    let w_word = thread / COLUMN_QUADS;
    let w_column = min(first_column + thread % COLUMN_QUADS, p.out_quads - 1u);
    let my_row = thread / ACROSS;
    let my_column = thread % ACROSS;
    //: if COMBINED
    //: for m in ROWS
    //: for q in CQ
    var y$m_$q = vec4<f32>();
    //: end
    //: end
    for (var term = 0u; term < TERMS; term++) {
    let first_plane = (term % BASES) * W_PLANES;
    //: else
    let first_plane = 0u;
    //: end
    //: for m in ROWS
    var all$m = 0u;
    //: for q in CQ
    var both$m_$q = vec4<u32>();
    //: end
    //: end

    var tap = 0u;
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let from_row = source(at, r, s);
            let base = u32(max(from_row, 0)) * (BITS * WORDS);
            let inside = select(0u, 0xffffffffu, from_row >= 0);
            for (var first_word = 0u; first_word < WORDS; first_word += 4u) {
                for (var i = 0u; i < 4u; i++) {
                    let word = first_word + i;
                    let mask = select(0u, inside, word < WORDS);
                    //: for b in A_PLANES
                    //: if LEVELS
                    tile_a[(i * A_PLANES + $bu) * THREADS + thread] = at_least(base + min(word, WORDS - 1u), term / BASES + 1u) & mask;
                    //: else
                    tile_a[(i * A_PLANES + $bu) * THREADS + thread] = x[base + $bu * WORDS + min(word, WORDS - 1u)] & mask;
                    //: end
                    //: end
                }
                //: if SIGNED
                tile_mask[thread] = inside;
                //: end
                //: if SPARE
                if (w_word < 4u) {
                //: else
                {
                //: end
                    let sign_word = min(first_word + w_word, WORDS - 1u); // beyond the end, the planes are zero or the loop ends
                    //: for j in W_PLANES
                    tile_w[$ju * 4u * COLUMN_QUADS + thread] =
                        signs_at(((tap * WORDS + sign_word) * SIGN_PLANES + first_plane + $ju) * p.out_quads + w_column);
                    //: end
                }
                workgroupBarrier();
                //: if SIGNED
                //: for m in ROWS
                let mask$m = tile_mask[$mu * DOWN + my_row];
                if (first_word == 0u) { all$m += mask$m & CHANNELS; }
                //: end
                //: end
                for (var i = 0u; i < min(4u, WORDS - first_word); i++) {
                    //: for j in W_PLANES
                    //: for q in CQ
                    let w$q_$j = tile_w[($ju * 4u + i) * COLUMN_QUADS + $qu * ACROSS + my_column];
                    //: end
                    //: end
                    //: for b in A_PLANES
                    //: for m in ROWS
                    let a$m_$b = tile_a[(i * A_PLANES + $bu) * THREADS + $mu * DOWN + my_row];
                    //: if SIGNED
                    //: for j in W_PLANES
                    //: for q in CQ
                    both$m_$q += countOneBits((vec4<u32>(a$m_$b) ^ w$q_$j) & vec4<u32>(mask$m)) << vec4<u32>($ju);
                    //: end
                    //: end
                    //: else
                    all$m += countOneBits(a$m_$b) << $bu;
                    //: for j in W_PLANES
                    //: for q in CQ
                    both$m_$q += countOneBits(vec4<u32>(a$m_$b) & w$q_$j) << vec4<u32>($bu + $ju);
                    //: end
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
    //: for m in ROWS
    //: for q in CQ
    y$m_$q += coefficient(term, min(first_column + $qu * ACROSS + my_column, p.out_quads - 1u))
        * vec4<f32>(signed_sum(both$m_$q, all$m));
    //: end
    //: end
    }
    //: end
    //: for m in ROWS
    //: for q in CQ
    let row$m_$q = first_row + $mu * DOWN + my_row;
    let column$m_$q = first_column + $qu * ACROSS + my_column;
    if (select(rows, row$m_$q, column$m_$q < p.out_quads) < rows) {
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
