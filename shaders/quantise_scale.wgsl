// Terms of the gradient of the scale s: for PACT, dy above it; otherwise dy (level - x / s) inside
// and dy times the top level above, times a factor. Levels are in units of s; without LEVELS, they
// are the codes.

fn prepare(quad: u32) {
    x_prepare(quad);
}

fn at(i: u32, quad: u32) {
    let z = x_at(i);
    let s = scale_at(0u).x;
    let zero = vec4<f32>();
    //: if PACT
    let slope = select(zero, vec4<f32>(1.0), z > vec4<f32>(s));
    //: else
    let top = vec4<f32>(p.top);
    var level = vec4<f32>(code_of(z, quad));
    //: if LEVELS
    let code = level;
    //: for i in LEVELS
    level = select(level, vec4<f32>(bitcast<f32>(LEVEL_$i)), code > vec4<f32>($i.5));
    //: end
    //: end
    let slope = select(select(level - z / s, top, z >= top * s), zero, z <= zero);
    //: end
    let channel = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    terms_put(i, select(zero, dy_at(i) * slope * p.factor, channel < vec4<u32>(CHANNELS)));
}
