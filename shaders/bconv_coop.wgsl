// The sums of codes and signs on cooperative matrices: exact integers. A step is a tap of a word,
// 32 channels; the taps of a word are consecutive, so that its codes are still in the cache.
//
// A code is stored in the mantissa of a subnormal half float, as code · 4^v · 2^-24 (v = 0 to 4,
// then 0 to 2, by quads of the word); the sign that it is multiplied by is ±4^-v. The 32 codes
// therefore become half floats without arithmetic, and the sums are scaled by 2^-24. Both operands
// have the channels of a word in the order 0, 16, 1, 17, ….

const FROM_SUBNORMAL = 16777216.0;

fn result_rows() -> u32 { return row_count(); }
fn result_columns() -> u32 { return 4u * p.out_quads; }
fn step_count() -> u32 { return u32(p.kernel_h * p.kernel_w) * WORDS; }
fn part_steps() -> u32 { return step_count(); }

//: for i in A_LOADS
var<private> at$i: vec3<i32>;
var<private> low$i: u32;
var<private> high$i: u32;
//: end
//: for i in B_LOADS
var<private> column$i: u32;
var<private> signs$i: u32;
//: end

fn begin(thread: u32, first_row: u32, first_column: u32) {
    //: for i in A_LOADS
    at$i = locate(min(first_row + thread + $iu * THREADS, row_count() - 1u));
    //: end
    //: for i in B_LOADS
    column$i = min(first_column + thread + $iu * THREADS, result_columns() - 1u);
    //: end
}

fn fetch(thread: u32, step: u32) {
    let taps = u32(p.kernel_h * p.kernel_w);
    let word = step / taps;
    let tap = step - word * taps;
    let r = i32(tap) / p.kernel_w;
    let s = i32(tap) - r * p.kernel_w;
    //: for i in A_LOADS
    let from$i = source(at$i, r, s);
    let first$i = u32(max(from$i, 0)) * (BITS * WORDS) + word;
    let inside$i = select(0u, 0xffffffffu, from$i >= 0);
    low$i = x[first$i] & inside$i;
    //: if TWO_BITS
    high$i = x[first$i + WORDS] & inside$i;
    //: end
    //: end
    //: for i in B_LOADS
    let quad$i = signs_at((tap * WORDS + word) * p.out_quads + column$i / 4u);
    signs$i = quad$i[column$i % 4u];
    //: end
}

fn stage(thread: u32) {
    //: for i in A_LOADS
    if (thread + $iu * THREADS < A_ITEMS) {
        a_put((thread + $iu * THREADS) * A_STRIDE, low$i, high$i);
    }
    //: end
    //: for i in B_LOADS
    if (thread + $iu * THREADS < B_ITEMS) {
        let to = (thread + $iu * THREADS) * B_STRIDE;
        tile_b[to] = sign_halves(signs$i << 15u, 0xbc00bc00u, signs$i << 14u);
        tile_b[to + 1u] = sign_halves(signs$i << 13u, 0xb400b400u, signs$i << 12u);
        tile_b[to + 2u] = sign_halves(signs$i << 11u, 0xac00ac00u, signs$i << 10u);
        tile_b[to + 3u] = sign_halves(signs$i << 9u, 0xa400a400u, signs$i << 8u);
        tile_b[to + 4u] = sign_halves(signs$i << 7u, 0x9c009c00u, signs$i << 6u);
        tile_b[to + 5u] = sign_halves(signs$i << 5u, 0xbc00bc00u, signs$i << 4u);
        tile_b[to + 6u] = sign_halves(signs$i << 3u, 0xb400b400u, signs$i << 2u);
        tile_b[to + 7u] = sign_halves(signs$i << 1u, 0xac00ac00u, signs$i);
    }
    //: end
}

fn give(part: u32, row: u32, quad: u32, v: vec4<f32>) {
    if (select(row_count(), row, quad < p.out_quads) < row_count()) {
        s_put_int(row * p.out_quads + quad, keep_filters(vec4<i32>(v * FROM_SUBNORMAL), quad));
    }
}
