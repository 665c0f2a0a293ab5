// out[row, n] = sum over taps and l of a[source(row, tap), l] * b[tap, l, n]; a workgroup computes
// a tile of 4 ROW_QUADS rows and 4 COLUMN_QUADS columns.
//
// Each step stages 4 quads of l in workgroup memory: blocks of 4 x 4 values, transposed so that
// both operands are stored as [l][quad]. The operands of the next step are fetched while this one
// computes. An invocation keeps 4 RQ rows x 4 CQ columns in registers, its quads DOWN and ACROSS
// apart, so that neighbours read neighbouring words. FOLDED: l runs over all taps, which suits few
// channels. PHASED: a tile's rows belong to one phase of a stride, and only the taps of that phase
// are visited. The parts of the sum are consecutive in the output.

const DOWN = ROW_QUADS / RQ; // invocations along the rows of a tile
const ACROSS = COLUMN_QUADS / CQ;

var<workgroup> tile_a: array<vec4<f32>, 16 * ROW_QUADS>; // [l][row quad, permuted so that the stores of neighbours meet different banks: ROW_QUADS is a power of two]
var<workgroup> tile_b: array<vec4<f32>, 16 * COLUMN_QUADS>; // [l][column quad]

// Position of the next step: its tap, and its first quad of l at that tap, or over all taps.
var<private> tap: u32;
var<private> first_l: u32;
var<private> new_tap: bool = true;

//: if PHASED
var<private> phase: u32;
var<private> taps: vec4<i32>; // the first tap and the number of taps, down and across
//: end

// Operand a of the next step: a quad of l of four rows, and the starts of these rows, or -1.
//: for i in A_LOADS
//: for m in 4
var<private> from$i_$m: i32;
var<private> a$i_$m: vec4<f32>;
//: end
//: end

fn find_rows(thread: u32, first_row: u32, rows: u32, of_tap: u32) {
    let r = i32(of_tap) / p.kernel_w;
    let s = i32(of_tap) - r * p.kernel_w;
    //: for i in A_LOADS
    //: for m in 4
    let row$i_$m = min(first_row + ((thread + $iu * THREADS) >> 2u) * 4u + $mu, rows - 1u);
    //: if PHASED
    from$i_$m = source(phase_locate(row$i_$m, phase), r, s);
    //: else
    from$i_$m = source(locate(row$i_$m), r, s);
    //: end
    //: end
    //: end
}

fn fetch(thread: u32, first_row: u32, rows: u32, column: u32) {
    let length = length_quads();
    let l = first_l + (thread & 3u);
    let b_l = first_l + thread / COLUMN_QUADS;
    //: if FOLDED
    let last = u32(p.kernel_h * p.kernel_w) * length - 1u;
    let a_tap = min(l, last) / length;
    let a_l = min(l, last) - a_tap * length;
    find_rows(thread, first_row, rows, a_tap);
    let inside = l <= last;
    let b_tap = min(b_l, last) / length;
    b_fetch(b_tap, min(b_l, last) - b_tap * length, column); // beyond the end, a is zero
    first_l += 4u;
    //: else
    let a_l = min(l, length - 1u);
    //: if PHASED
    let down = i32(tap) / taps.w;
    let of_tap = u32((taps.x + down * p.stride_h) * p.kernel_w + taps.y + (i32(tap) - down * taps.w) * p.stride_w);
    //: else
    let of_tap = tap;
    //: end
    if (new_tap) { find_rows(thread, first_row, rows, of_tap); }
    new_tap = false;
    let inside = l < length;
    b_fetch(of_tap, min(b_l, length - 1u), column); // beyond the end, a is zero
    first_l += 4u;
    if (first_l >= length) {
        first_l = 0u;
        tap++;
        new_tap = true;
    }
    //: end
    //: for i in A_LOADS
    //: for m in 4
    let row$i_$m = select(-1, from$i_$m, inside);
    a$i_$m = select(vec4<f32>(), a_quad(u32(max(from$i_$m, 0)) * length + a_l), row$i_$m >= 0);
    //: end
    //: end
}

@main {
    let columns = column_quads();
    //: if PHASED
    let rows = phase_row_count();
    let of_phase = (rows + 4u * ROW_QUADS - 1u) / (4u * ROW_QUADS);
    let row_tiles = u32(p.stride_h * p.stride_w) * of_phase;
    //: else
    let rows = row_count();
    let row_tiles = (rows + 4u * ROW_QUADS - 1u) / (4u * ROW_QUADS);
    //: end
    let tiles = row_tiles * ((columns + COLUMN_QUADS - 1u) / COLUMN_QUADS);
    let index = group_index(group, groups);
    let part = index / tiles;
    if (part >= p.parts) { return; } // uniform: a folded grid has surplus workgroups
    let tile = index - part * tiles;
    let column_tile = tile / row_tiles;
    let row_tile = tile - column_tile * row_tiles;
    //: if PHASED
    let of_tile = row_tile / of_phase;
    let seen = phase_taps(of_tile);
    phase = of_tile;
    taps = seen;
    let first_row = (row_tile - of_tile * of_phase) * 4u * ROW_QUADS;
    //: else
    let first_row = row_tile * 4u * ROW_QUADS;
    //: end
    let first_column = column_tile * COLUMN_QUADS;

    let my_row = thread / ACROSS;
    let my_column = thread % ACROSS;
    let a_l = thread & 3u;
    let b_l = thread / COLUMN_QUADS;
    let b_column = min(first_column + thread % COLUMN_QUADS, columns - 1u);
    //: for m in RQ
    //: for j in 4
    //: for q in CQ
    var sum$m_$j_$q = vec4<f32>();
    //: end
    //: end
    //: end

    let step = part * p.of_part;
    //: if FOLDED
    first_l = step * 4u;
    //: else
    let of_tap = (length_quads() + 3u) / 4u;
    tap = step / of_tap;
    first_l = (step - tap * of_tap) * 4u;
    //: end
    //: if PHASED
    let all_steps = u32(seen.z * seen.w) * of_tap;
    //: else
    let all_steps = p.steps;
    //: end
    let steps = min(p.of_part, all_steps - min(step, all_steps));
    if (steps > 0u) {
        fetch(thread, first_row, rows, b_column);
    }
    for (var done = 0u; done < steps; done++) {
        //: for i in A_LOADS
        let block$i = thread + $iu * THREADS;
        //: if A_SPARE
        if (block$i < 4u * ROW_QUADS) {
        //: else
        {
        //: end
            let to = a_l * 4u * ROW_QUADS + ((block$i >> 2u) ^ ((2u * a_l) & (ROW_QUADS - 1u)));
            tile_a[to] = vec4<f32>(a$i_0.x, a$i_1.x, a$i_2.x, a$i_3.x);
            tile_a[to + ROW_QUADS] = vec4<f32>(a$i_0.y, a$i_1.y, a$i_2.y, a$i_3.y);
            tile_a[to + 2u * ROW_QUADS] = vec4<f32>(a$i_0.z, a$i_1.z, a$i_2.z, a$i_3.z);
            tile_a[to + 3u * ROW_QUADS] = vec4<f32>(a$i_0.w, a$i_1.w, a$i_2.w, a$i_3.w);
        }
        //: end
        //: if B_SPARE
        if (thread < 4u * COLUMN_QUADS) {
        //: else
        {
        //: end
            let b = b_fetched(b_column);
            let to = b_l * 4u * COLUMN_QUADS + thread % COLUMN_QUADS;
            //: for j in 4
            tile_b[to + $ju * COLUMN_QUADS] = b[$j];
            //: end
        }
        workgroupBarrier();
        if (done + 1u < steps) { fetch(thread, first_row, rows, b_column); }
        for (var k = 0u; k < 4u; k++) {
            //: for m in RQ
            let at_a$m = k * 4u * ROW_QUADS + ((my_row + $mu * DOWN) ^ ((2u * k) & (ROW_QUADS - 1u)));
            //: end
            let at_b = k * 4u * COLUMN_QUADS + my_column;
            //: for i in 4
            //: for m in RQ
            let x$i$m = tile_a[at_a$m + $iu * ROW_QUADS];
            //: end
            //: for q in CQ
            let y$i$q = tile_b[at_b + $iu * COLUMN_QUADS + $qu * ACROSS];
            //: end
            //: for m in RQ
            //: for q in CQ
            sum$m_0_$q += x$i$m.x * y$i$q;
            sum$m_1_$q += x$i$m.y * y$i$q;
            sum$m_2_$q += x$i$m.z * y$i$q;
            sum$m_3_$q += x$i$m.w * y$i$q;
            //: end
            //: end
            //: end
        }
        workgroupBarrier();
    }
    //: for m in RQ
    //: for q in CQ
    let column$m_$q = first_column + $qu * ACROSS + my_column;
    //: for j in 4
    let row$m_$j_$q = first_row + ($mu * DOWN + my_row) * 4u + $ju;
    //: if PHASED
    let target$m_$j_$q = select(-1, phase_target(min(row$m_$j_$q, rows - 1u), phase), row$m_$j_$q < rows);
    let to$m_$j_$q = select(-1, target$m_$j_$q, column$m_$q < columns);
    if (to$m_$j_$q >= 0) {
        out_put((part * row_count() + u32(to$m_$j_$q)) * columns + column$m_$q, sum$m_$j_$q);
    }
    //: else
    if (select(rows, row$m_$j_$q, column$m_$q < columns) < rows) {
        out_put((part * rows + row$m_$j_$q) * columns + column$m_$q, sum$m_$j_$q);
    }
    //: end
    //: end
    //: end
    //: end
}
