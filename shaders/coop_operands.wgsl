// The operands of a tile on cooperative matrices (coop_tile.wgsl): their layout in workgroup
// memory, and the conversion of numbers and codes to half floats.

const ROWS = DOWN * FM * SIZE;
const COLUMNS = ACROSS * FN * SIZE;
//: if A_BY_ROW
const A_STRIDE = DEPTH / 4u + 2u; // in quads of half floats
const A_LINES = ROWS;
//: else
const A_STRIDE = ROWS / 4u + 2u;
const A_LINES = DEPTH;
//: end
//: if B_BY_COLUMN
const B_STRIDE = DEPTH / 4u + 2u;
const B_LINES = COLUMNS;
//: else
const B_STRIDE = COLUMNS / 4u + 2u;
const B_LINES = DEPTH;
//: end
const A_QUADS = A_LINES * A_STRIDE;
const B_QUADS = B_LINES * B_STRIDE;
const A_ITEMS = ROWS * DEPTH / A_ITEM; // units of staging: words of codes or signs, quads of floats
const B_ITEMS = COLUMNS * DEPTH / B_ITEM;

var<workgroup> tile_a: array<vec4<f16>, A_QUADS * (1u + A_CUT)>;
var<workgroup> tile_b: array<vec4<f16>, B_QUADS * (1u + B_CUT)>;
var<workgroup> tile_out: array<f32, DOWN * ACROSS * SIZE * SIZE>;

//: if A_FLOATS
var<private> a_scale: f32;

fn a_put(to: u32, v: vec4<f32>) {
    //: if A_CUT
    let halves = cut(v * a_scale);
    tile_a[to] = halves.most;
    tile_a[to + A_QUADS] = halves.rest;
    //: else
    tile_a[to] = vec4<f16>(v * a_scale);
    //: end
}
//: else

// A word of codes, from its two planes: quads of channels 0, 16, 1, 17, …, where those of quad v
// are scaled by 4^v in subnormal half floats (bconv_coop.wgsl).
fn a_put(to: u32, low: u32, high: u32) {
    let even = (low & 0x55555555u) | ((high << 1u) & 0xaaaaaaaau); // codes of channels 0, 2, …
    let odd = ((low >> 1u) & 0x55555555u) | (high & 0xaaaaaaaau);
    //: for j in 5
    tile_a[to + $ju] = code_halves(even, odd, 0x30003u << (2u * $ju));
    //: end
    //: for j in 3
    tile_a[to + 5u + $ju] = code_halves(even >> 10u, odd >> 10u, 0x30003u << (2u * $ju));
    //: end
}
//: end
//: if B_FLOATS
var<private> b_scale: f32;

fn b_put(to: u32, v: vec4<f32>) {
    //: if B_CUT
    let halves = cut(v * b_scale);
    tile_b[to] = halves.most;
    tile_b[to + B_QUADS] = halves.rest;
    //: else
    tile_b[to] = vec4<f16>(v * b_scale);
    //: end
}
//: end

// Start of the fragment of a row or column at a depth.
fn place_a(row: u32, depth: u32) -> u32 {
    //: if A_BY_ROW
    return row * A_STRIDE + depth / 4u;
    //: else
    return depth * A_STRIDE + row / 4u;
    //: end
}
fn place_b(column: u32, depth: u32) -> u32 {
    //: if B_BY_COLUMN
    return column * B_STRIDE + depth / 4u;
    //: else
    return depth * B_STRIDE + column / 4u;
    //: end
}
