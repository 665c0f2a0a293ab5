// dx = dy * w, transposed; w is reconstructed in registers from packed signs and their
// coefficients. Rows of dx gather rows of dy.

fn column_quads() -> u32 { return p.in_quads; }
fn length_quads() -> u32 { return p.out_quads; }
fn a_quad(i: u32) -> vec4<f32> { return dy_at(i); }

// Channels beyond the last one have no signs: they stay zero.
fn out_put(i: u32, v: vec4<f32>) {
    let channel = vec4<u32>((i % p.in_quads) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    dx_put(i, select(vec4<f32>(), v, channel < vec4<u32>(p.channels)));
}

// The words of every plane, and the value of a sign of it.
//: for j in SIGN_PLANES
var<private> words$j: vec4<u32>;
var<private> scale$j: vec4<f32>;
//: end

// Shared by neighbouring columns: a word holds eight quads of channels.
fn b_load(tap: u32, l: u32, column: u32) {
    //: for j in SIGN_PLANES
    words$j = signs_at(((tap * p.words + column / 8u) * SIGN_PLANES + $ju) * p.out_quads + l);
    //: if BASED
    scale$j = alpha_at($ju * p.out_quads + l);
    //: else
    scale$j = alpha_at(l) * f32(1u << $ju);
    //: end
    //: end
}

// Column j: filter 4 l + j, for the four input channels of a quad, of one plane.
fn plane_block(words: vec4<u32>, scale: vec4<f32>, column: u32) -> mat4x4<f32> {
    let here = words >> vec4<u32>((column % 8u) * 4u);
    let bit = vec4<u32>(1u, 2u, 4u, 8u);
    let none = vec4<u32>();
    return mat4x4<f32>(
        select(vec4<f32>(-scale.x), vec4<f32>(scale.x), (vec4<u32>(here.x) & bit) != none),
        select(vec4<f32>(-scale.y), vec4<f32>(scale.y), (vec4<u32>(here.y) & bit) != none),
        select(vec4<f32>(-scale.z), vec4<f32>(scale.z), (vec4<u32>(here.z) & bit) != none),
        select(vec4<f32>(-scale.w), vec4<f32>(scale.w), (vec4<u32>(here.w) & bit) != none));
}

// The same for the weight: the sum of the planes.
fn b_block(tap: u32, l: u32, column: u32) -> mat4x4<f32> {
    //: if SEVERAL
    var block = mat4x4<f32>();
    //: for j in SIGN_PLANES
    block = block + plane_block(words$j, scale$j, column);
    //: end
    return block;
    //: else
    return plane_block(words0, scale0, column);
    //: end
}

// The same in two phases: issue the loads, then decode the loaded words.
fn b_fetch(tap: u32, l: u32, column: u32) { b_load(tap, l, column); }
fn b_fetched(column: u32) -> mat4x4<f32> { return b_block(0u, 0u, column); }
