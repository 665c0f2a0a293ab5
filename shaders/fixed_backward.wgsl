// dx = dy, rounded where asked for, where x lies in its format's range.

fn prepare(quad: u32) {
    //: if NORMALISED
    norm_prepare(quad);
    //: end
}

fn at(i: u32, quad: u32) {
    //: if NORMALISED
    let x = normalise(x_at(i));
    //: else
    let x = x_at(i);
    //: end
    //: if ROUNDED
    let dy = rounded(dy_at(i), i);
    //: else
    let dy = dy_at(i);
    //: end
    let held = (x >= vec4<f32>(p.x_low)) & (x <= vec4<f32>(p.x_high));
    dx_put(i, select(vec4<f32>(), dy, held));
}
