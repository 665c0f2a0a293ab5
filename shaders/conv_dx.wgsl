// dx = dy * w, transposed: rows of dx gather rows of dy; b[tap, l, n] is w[r, s, c = n, k = l].

fn column_quads() -> u32 { return p.in_quads; }
fn length_quads() -> u32 { return p.out_quads; }
fn a_quad(i: u32) -> vec4<f32> { return dy_at(i); }
fn out_put(i: u32, v: vec4<f32>) { dx_put(i, v); }

// Columns share nothing.
fn b_load(tap: u32, l: u32, column: u32) {}

// Column j: the weights of filter 4 l + j for the four input channels of a quad.
fn b_block(tap: u32, l: u32, column: u32) -> mat4x4<f32> {
    let first = (tap * p.in_quads + column) * 4u * p.out_quads + l;
    return transpose(mat4x4<f32>(
        w_at(first), w_at(first + p.out_quads), w_at(first + 2u * p.out_quads), w_at(first + 3u * p.out_quads)));
}

// The same in two phases: issue the loads, then use the loaded values.
var<private> block: mat4x4<f32>;
fn b_fetch(tap: u32, l: u32, column: u32) { block = b_block(tap, l, column); }
fn b_fetched(column: u32) -> mat4x4<f32> { return block; }
