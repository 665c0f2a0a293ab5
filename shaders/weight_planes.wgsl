// Packs 32 input channels of four filters into four words of every plane: the bits of the code,
// which is the number of thresholds that w reaches, or, with THERMOMETER, whether w reaches the
// threshold of the plane.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let column = item % p.quads;
    let tap_word = item / p.quads;
    if (tap_word >= p.taps * p.words) { return; }
    let tap = tap_word / p.words;
    let first = (tap_word - tap * p.words) * 32u;
    let last = min(first + 32u, p.channels);
    //: for b in PLANES
    var plane$b = vec4<u32>();
    //: end
    for (var c = first; c < last; c++) {
        let w = w_at((tap * p.rows + c) * p.quads + column);
        //: if THERMOMETER
        //: for b in PLANES
        plane$b |= select(vec4<u32>(), vec4<u32>(1u << (c - first)), w >= vec4<f32>(thresholds_at($bu / 4u)[$bu % 4u]));
        //: end
        //: else
        var code = vec4<u32>();
        for (var i = 0u; i < COUNT; i++) {
            code += select(vec4<u32>(), vec4<u32>(1u), w >= vec4<f32>(thresholds_at(i / 4u)[i % 4u]));
        }
        //: for b in PLANES
        plane$b |= ((code >> vec4<u32>($bu)) & vec4<u32>(1u)) << vec4<u32>(c - first);
        //: end
        //: end
    }
    let filter_index = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    //: for b in PLANES
    signs_put((tap_word * PLANES + $bu) * p.quads + column, select(vec4<u32>(), plane$b, filter_index < vec4<u32>(p.filters)));
    //: end
}
