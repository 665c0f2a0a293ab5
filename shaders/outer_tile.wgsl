// dw[tap, c, k] = sum over output rows of x[source(row, tap), c] * dy[row, k]; a workgroup computes
// a tile of 4 X_QUADS channels x 4 DY_QUADS filters over one part of the rows, STEP rows at a time
// through workgroup memory. PREFETCH: the operands of the next step are fetched while this one
// computes, which takes registers. FOLDED: a tile's channels run over all taps, which suits few
// channels; otherwise they belong to one tap. Parts are consecutive in `part`.

const DOWN = X_QUADS / XQ; // invocations along the channels of a tile
const ACROSS = DY_QUADS / KQ;
const OF_ROW = THREADS / STEP; // invocations that stage a row

var<workgroup> tile_x: array<vec4<f32>, STEP * X_QUADS>; // [row][channel quad]
var<workgroup> tile_dy: array<vec4<f32>, STEP * DY_QUADS>; // [row][filter quad]

// What an invocation stages in the next step: quads of x as raw words, whether they are inside the
// input, and quads of dy.
//: for i in X_LOADS
var<private> c$i: u32; // quad of channels of the tap
var<private> x$i: vec4<u32>;
var<private> inside$i: bool;
//: if FOLDED
var<private> r$i: i32;
var<private> s$i: i32;
//: end
//: end
//: for i in DY_LOADS
var<private> d$i: vec4<f32>;
//: end

fn fetch(row: u32, last_row: u32, r: i32, s: i32, first_k: u32, load_quad: u32) {
    let here = min(row, last_row - 1u);
    let at = locate(here);
    //: if FOLDED
    //: for i in X_LOADS
    let from$i = select(-1, source(at, r$i, s$i), row < last_row);
    inside$i = from$i >= 0;
    x$i = x_raw(u32(max(from$i, 0)), c$i);
    //: end
    //: else
    let from_row = select(-1, source(at, r, s), row < last_row);
    //: for i in X_LOADS
    inside$i = from_row >= 0;
    x$i = x_raw(u32(max(from_row, 0)), c$i);
    //: end
    //: end
    //: for i in DY_LOADS
    d$i = dy_at(here * p.out_quads + min(first_k + load_quad + $iu * OF_ROW, p.out_quads - 1u));
    //: end
}

@main {
    let taps = u32(p.kernel_h * p.kernel_w);
    let k_tiles = (p.out_quads + DY_QUADS - 1u) / DY_QUADS;
    var tile = group_index(group, groups);
    let first_k = (tile % k_tiles) * DY_QUADS;
    tile /= k_tiles;
    //: if FOLDED
    let c_quads = taps * p.in_quads;
    //: else
    let c_quads = p.in_quads;
    //: end
    let c_tiles = (c_quads + X_QUADS - 1u) / X_QUADS;
    let first_c = (tile % c_tiles) * X_QUADS;
    tile /= c_tiles;
    //: if FOLDED
    let part_index = tile;
    let tap = 0u;
    //: else
    let tap = tile % taps;
    let part_index = tile / taps;
    //: end
    if (part_index >= p.parts) { return; } // uniform: a folded grid has surplus workgroups
    let r = i32(tap) / p.kernel_w;
    let s = i32(tap) - r * p.kernel_w;

    let load_row = thread / OF_ROW;
    let load_quad = thread % OF_ROW;
    let my_c = thread / ACROSS;
    let my_k = thread % ACROSS;
    //: for i in X_LOADS
    c$i = min(first_c + load_quad + $iu * OF_ROW, c_quads - 1u);
    //: if FOLDED
    let tap$i = c$i / p.in_quads;
    c$i -= tap$i * p.in_quads;
    r$i = i32(tap$i) / p.kernel_w;
    s$i = i32(tap$i) - r$i * p.kernel_w;
    //: end
    //: end
    //: for m in XQ
    //: for j in 4
    //: for q in KQ
    var sum$m_$j_$q = vec4<f32>();
    //: end
    //: end
    //: end

    let rows = row_count();
    let of_part = (rows + p.parts - 1u) / p.parts;
    let first_row = part_index * of_part;
    let last_row = min(first_row + of_part, rows);
    //: if PREFETCH
    if (first_row < last_row) { fetch(first_row + load_row, last_row, r, s, first_k, load_quad); }
    //: end
    for (var start = first_row; start < last_row; start += STEP) {
        //: if PREFETCH
        //: else
        fetch(start + load_row, last_row, r, s, first_k, load_quad);
        //: end
        //: for i in X_LOADS
        tile_x[load_row * X_QUADS + load_quad + $iu * OF_ROW] = select(vec4<f32>(), x_of(x$i, c$i), inside$i);
        //: end
        //: for i in DY_LOADS
        //: if DY_SPARE
        if (load_quad < DY_QUADS) { tile_dy[load_row * DY_QUADS + load_quad + $iu * OF_ROW] = d$i; }
        //: else
        tile_dy[load_row * DY_QUADS + load_quad + $iu * OF_ROW] = d$i;
        //: end
        //: end
        workgroupBarrier();
        //: if PREFETCH
        if (start + STEP < last_row) { fetch(start + STEP + load_row, last_row, r, s, first_k, load_quad); }
        //: end
        for (var i = 0u; i < STEP; i++) {
            //: for m in XQ
            let a$m = tile_x[i * X_QUADS + $mu * DOWN + my_c];
            //: end
            //: for q in KQ
            let b$q = tile_dy[i * DY_QUADS + $qu * ACROSS + my_k];
            //: end
            //: for m in XQ
            //: for q in KQ
            sum$m_0_$q += a$m.x * b$q;
            sum$m_1_$q += a$m.y * b$q;
            sum$m_2_$q += a$m.z * b$q;
            sum$m_3_$q += a$m.w * b$q;
            //: end
            //: end
        }
        workgroupBarrier();
    }
    //: if FOLDED
    let base = part_index * c_quads;
    //: else
    let base = (part_index * taps + tap) * c_quads;
    //: end
    //: for m in XQ
    let quad_out$m = first_c + $mu * DOWN + my_c;
    //: for q in KQ
    let filter$m_$q = first_k + $qu * ACROSS + my_k;
    if (select(c_quads, quad_out$m, filter$m_$q < p.out_quads) < c_quads) {
        //: for j in 4
        part_put(((base + quad_out$m) * 4u + $ju) * p.out_quads + filter$m_$q, scale() * sum$m_$j_$q);
        //: end
    }
    //: end
    //: end
}
