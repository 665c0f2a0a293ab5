// dx = dy * alpha sign(w), transposed: rows of dx gather rows of dy; alpha sign(w) is made in registers from the packed signs.

fn column_quads() -> u32 { return p.in_quads; }
fn length_quads() -> u32 { return p.out_quads; }
fn a_quad(i: u32) -> vec4<f32> { return dy_at(i); }

// Channels beyond the last have no signs: they stay zero.
fn out_put(i: u32, v: vec4<f32>) {
    let channel = vec4<u32>((i % p.in_quads) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    dx_put(i, select(vec4<f32>(), v, channel < vec4<u32>(CHANNELS)));
}

var<private> words: vec4<u32>;
var<private> scale: vec4<f32>;

// What neighbouring columns share: eight quads of channels lie in a word.
fn b_load(tap: u32, l: u32, column: u32) {
    words = signs_at((tap * WORDS + column / 8u) * p.out_quads + l);
    scale = alpha_at(l);
}

// Column j: filter 4 l + j, for the four input channels of a quad.
fn b_block(tap: u32, l: u32, column: u32) -> mat4x4<f32> {
    let here = words >> vec4<u32>((column % 8u) * 4u);
    let bit = vec4<u32>(1u, 2u, 4u, 8u);
    let none = vec4<u32>();
    return mat4x4<f32>(
        select(vec4<f32>(-scale.x), vec4<f32>(scale.x), (vec4<u32>(here.x) & bit) != none),
        select(vec4<f32>(-scale.y), vec4<f32>(scale.y), (vec4<u32>(here.y) & bit) != none),
        select(vec4<f32>(-scale.z), vec4<f32>(scale.z), (vec4<u32>(here.z) & bit) != none),
        select(vec4<f32>(-scale.w), vec4<f32>(scale.w), (vec4<u32>(here.w) & bit) != none));
}
