// dx = dy * alpha sign(w), transposed: rows of dx gather rows of dy; alpha sign(w) is made in registers from the packed signs.

fn column_quads() -> u32 { return p.in_quads; }
fn length_quads() -> u32 { return p.out_quads; }
fn a_quad(i: u32) -> vec4<f32> { return dy_at(i); }

// Channels beyond the last have no signs: they stay zero.
fn out_put(i: u32, v: vec4<f32>) {
    let channel = vec4<u32>((i % p.in_quads) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    dx_put(i, select(vec4<f32>(), v, channel < vec4<u32>(CHANNELS)));
}

// Column j: filter 4 l + j, for the four input channels of a quad.
fn b_block(tap: u32, l: u32, column: u32) -> mat4x4<f32> {
    let words = signs_at((tap * WORDS + column / 8u) * p.out_quads + l) >> vec4<u32>((column % 8u) * 4u);
    let alpha = alpha_at(l);
    let bit = vec4<u32>(1u, 2u, 4u, 8u);
    let none = vec4<u32>();
    return mat4x4<f32>(
        select(vec4<f32>(-alpha.x), vec4<f32>(alpha.x), (vec4<u32>(words.x) & bit) != none),
        select(vec4<f32>(-alpha.y), vec4<f32>(alpha.y), (vec4<u32>(words.y) & bit) != none),
        select(vec4<f32>(-alpha.z), vec4<f32>(alpha.z), (vec4<u32>(words.z) & bit) != none),
        select(vec4<f32>(-alpha.w), vec4<f32>(alpha.w), (vec4<u32>(words.w) & bit) != none));
}
