// out[row, n] = sum over taps and l of a[source(row, tap), l] * b[tap, l, n]; a workgroup of 64 makes a tile of 64 rows and 64 columns.
//
// Each step stages 64 rows x 16 l of a and 16 l x 64 columns of b in workgroup memory (8 KiB); an invocation keeps 8 rows x 8 columns
// in registers. Rows and columns of an invocation are 8 apart, so that neighbours read neighbouring words (no bank conflicts). PARTS of the sum lie behind each other in the output.

var<workgroup> tile_a: array<vec4<f32>, 256>; // [l quad][row]
var<workgroup> tile_b: array<vec4<f32>, 256>; // [l][column quad]

@main {
    let rows = row_count();
    let columns = column_quads();
    let row_tiles = (rows + 63u) / 64u;
    let tiles = row_tiles * ((columns + 15u) / 16u);
    let index = group_index(group, groups);
    let part = index / tiles;
    if (part >= PARTS) { return; } // uniform: a folded grid has groups to spare
    let tile = index - part * tiles;
    let column_tile = tile / row_tiles;
    let first_row = (tile - column_tile * row_tiles) * 64u;
    let first_column = column_tile * 16u;

    let at = locate(min(first_row + thread, rows - 1u));
    let b_l = thread >> 4u;
    let b_column = min(first_column + (thread & 15u), columns - 1u);
    let my_row = thread >> 3u;
    let my_column = thread & 7u;
    //: for m in 8
    //: for q in 2
    var total$m_$q = vec4<f32>();
    //: end
    //: end

    // The chunks of this part; each is up to CHUNK_QUADS quads of l, from `start` on, of tap (r, s).
    let length = length_quads();
    let of_tap = (length + CHUNK_QUADS - 1u) / CHUNK_QUADS;
    let first_chunk = part * OF_PART;
    let last_chunk = min(first_chunk + OF_PART, u32(p.kernel_h * p.kernel_w) * of_tap);
    var tap = first_chunk / of_tap;
    var start = (first_chunk - tap * of_tap) * CHUNK_QUADS;
    var r = i32(tap) / p.kernel_w;
    var s = i32(tap) - r * p.kernel_w;
    for (var chunk = first_chunk; chunk < last_chunk; chunk++) {
        let from_row = source(at, r, s);
        let base = u32(max(from_row, 0)) * length;
        //: for m in 8
        //: for q in 2
        var sum$m_$q = vec4<f32>();
        //: end
        //: end
        let stop = min(start + CHUNK_QUADS, length);
        for (var l = start; l < stop; l += 4u) {
            //: for i in 4
            let a$i_at = l + $iu;
            let a$i_inside = from_row >= 0 && a$i_at < length;
            tile_a[$iu * 64u + thread] = select(vec4<f32>(), a_quad(base + min(a$i_at, length - 1u)), a$i_inside);
            //: end
            let b_row = min(l + b_l, length - 1u); // beyond the end a is zero
            b_load(tap, b_row, b_column);
            let b = b_block(tap, b_row, b_column);
            //: for i in 4
            tile_b[(b_l * 4u + $iu) * 16u + (thread & 15u)] = b[$i];
            //: end
            workgroupBarrier();
            for (var k = 0u; k < 4u; k++) {
                //: for m in 8
                let a$m = tile_a[k * 64u + $mu * 8u + my_row];
                //: end
                //: for q in 2
                //: for i in 4
                let b$q_$i = tile_b[(k * 4u + $iu) * 16u + $qu * 8u + my_column];
                //: end
                //: for m in 8
                sum$m_$q += a$m.x * b$q_0;
                sum$m_$q += a$m.y * b$q_1;
                sum$m_$q += a$m.z * b$q_2;
                sum$m_$q += a$m.w * b$q_3;
                //: end
                //: end
            }
            workgroupBarrier();
        }
        //: for m in 8
        //: for q in 2
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
    //: for m in 8
    //: for q in 2
    let row$m_$q = first_row + $mu * 8u + my_row;
    let column$m_$q = first_column + $qu * 8u + my_column;
    if (row$m_$q < rows && column$m_$q < columns) { out_put((part * rows + row$m_$q) * columns + column$m_$q, total$m_$q); }
    //: end
    //: end
}
