// y = f(x), or f of the normalised x. `value`, f of a quad, comes from the table in src/ops/curve.rs.

//: if MOVES_ZERO
var<private> is_channel: vec4<bool>; // f(0) is not 0: padding is set to 0 again
//: end

fn prepare(quad: u32) {
    x_prepare(quad);
    //: if MOVES_ZERO
    is_channel = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.channels);
    //: end
}

fn at(i: u32, quad: u32) {
    //: if MOVES_ZERO
    y_put(i, select(vec4<f32>(), value(x_at(i)), is_channel));
    //: else
    y_put(i, value(x_at(i)));
    //: end
}
