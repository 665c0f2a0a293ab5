// w = the weight that the sign planes represent; rows of nonexistent channels stay zero.

fn prepare(quad: u32) { }

fn at(i: u32, quad: u32) {
    let row = i / p.quads;
    let tap = row / CHANNEL_ROWS;
    let channel = row - tap * CHANNEL_ROWS;
    if (channel >= CHANNELS) {
        w_put(i, vec4<f32>());
        return;
    }
    var value = vec4<f32>();
    //: for j in SIGN_PLANES
    {
        let bits = (signs_at(((tap * WORDS + channel / 32u) * SIGN_PLANES + $ju) * p.quads + quad) >> vec4<u32>(channel % 32u)) & vec4<u32>(1u);
        //: if BASED
        let scale = alpha_at($ju * p.quads + quad);
        //: else
        let scale = alpha_at(quad) * f32(1u << $ju);
        //: end
        value += select(-scale, scale, bits != vec4<u32>());
    }
    //: end
    w_put(i, value);
}
