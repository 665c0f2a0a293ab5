// y = x * w: rows of y gather rows of x; b[tap, l, n] is w[r, s, c, k] in its stored layout.

fn column_quads() -> u32 { return p.out_quads; }
fn length_quads() -> u32 { return p.in_quads; }
fn a_quad(i: u32) -> vec4<f32> { return x_at(i); }
fn out_put(i: u32, v: vec4<f32>) { y_put(i, v); }

// Columns share nothing.
fn b_load(tap: u32, l: u32, column: u32) {}

// Column j: the weights of input channel 4 l + j for the four filters of a quad.
fn b_block(tap: u32, l: u32, column: u32) -> mat4x4<f32> {
    let first = (tap * p.in_quads + l) * 4u * p.out_quads + column;
    return mat4x4<f32>(
        w_at(first), w_at(first + p.out_quads), w_at(first + 2u * p.out_quads), w_at(first + 3u * p.out_quads));
}

// The same in two phases: issue the loads, then use the loaded values.
var<private> block: mat4x4<f32>;
fn b_fetch(tap: u32, l: u32, column: u32) { block = b_block(tap, l, column); }
fn b_fetched(column: u32) -> mat4x4<f32> { return block; }
