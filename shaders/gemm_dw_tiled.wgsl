// dw[tap, c, k] = sum over output rows of x[source(row, tap), c] * dy[row, k]; a workgroup of 64 makes 64 channels x 64 filters of one
// tap over one part of the rows, 16 rows a step through workgroup memory (8 KiB). Parts lie behind each other in `part`. A chunk is CHUNK rows.

var<workgroup> tile_x: array<vec4<f32>, 256>; // [row][channel quad]
var<workgroup> tile_dy: array<vec4<f32>, 256>; // [row][filter quad]

@main {
    let c_tiles = (p.in_quads + 15u) / 16u;
    let k_tiles = (p.out_quads + 15u) / 16u;
    var tile = group_index(group, groups);
    let first_k = (tile % k_tiles) * 16u;
    tile /= k_tiles;
    let first_c = (tile % c_tiles) * 16u;
    tile /= c_tiles;
    let taps = u32(p.kernel_h * p.kernel_w);
    let tap = tile % taps;
    let part_index = tile / taps;
    if (part_index >= PARTS) { return; } // uniform: a folded grid has groups to spare
    let r = i32(tap) / p.kernel_w;
    let s = i32(tap) - r * p.kernel_w;

    let load_row = thread >> 2u;
    let load_quad = thread & 3u;
    let my_c = thread >> 3u;
    let my_k = thread & 7u;
    //: for c in 8
    //: for k in 2
    var total$c_$k = vec4<f32>();
    //: end
    //: end

    let rows = row_count();
    let of_part = (rows + PARTS - 1u) / PARTS;
    let first_row = part_index * of_part;
    let last_row = min(first_row + of_part, rows);
    for (var chunk = first_row; chunk < last_row; chunk += CHUNK) {
    //: for c in 8
    //: for k in 2
    var sum$c_$k = vec4<f32>();
    //: end
    //: end
    let chunk_end = min(chunk + CHUNK, last_row);
    for (var start = chunk; start < chunk_end; start += 16u) {
        let row = start + load_row;
        let from_row = source(locate(min(row, rows - 1u)), r, s);
        let inside = row < chunk_end && from_row >= 0;
        let x_row = u32(max(from_row, 0));
        let dy_row = min(row, rows - 1u);
        //: for i in 4
        let c$i = min(first_c + load_quad + $iu * 4u, p.in_quads - 1u);
        tile_x[load_row * 16u + load_quad + $iu * 4u] = select(vec4<f32>(), x_quad(x_row, c$i), inside);
        let k$i = min(first_k + load_quad + $iu * 4u, p.out_quads - 1u);
        tile_dy[load_row * 16u + load_quad + $iu * 4u] = dy_at(dy_row * p.out_quads + k$i);
        //: end
        workgroupBarrier();
        for (var i = 0u; i < 16u; i++) {
            let d0 = tile_dy[i * 16u + my_k];
            let d1 = tile_dy[i * 16u + 8u + my_k];
            //: for q in 2
            let a$q = tile_x[i * 16u + $qu * 8u + my_c];
            //: end
            //: for k in 2
            sum0_$k += a0.x * d$k;
            sum1_$k += a0.y * d$k;
            sum2_$k += a0.z * d$k;
            sum3_$k += a0.w * d$k;
            sum4_$k += a1.x * d$k;
            sum5_$k += a1.y * d$k;
            sum6_$k += a1.z * d$k;
            sum7_$k += a1.w * d$k;
            //: end
        }
        workgroupBarrier();
    }
    //: for c in 8
    //: for k in 2
    total$c_$k += sum$c_$k;
    //: end
    //: end
    }
    let base = (part_index * taps + tap) * p.in_quads * 4u;
    //: for c in 8
    let quad$c = first_c + my_c + ($cu / 4u) * 8u;
    //: for k in 2
    let filter$c_$k = first_k + my_k + $ku * 8u;
    if (quad$c < p.in_quads && filter$c_$k < p.out_quads) {
        part_put((base + quad$c * 4u + $cu % 4u) * p.out_quads + filter$c_$k, scale() * total$c_$k);
    }
    //: end
    //: end
}
