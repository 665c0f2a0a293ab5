// dx = dy * slope of the surrogate at x, or at the normalised x. The uniform's `step` is the top level here.

fn slope(x: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>();
    let one = vec4<f32>(1.0);
    //: if IDENTITY
    return one;
    //: end
    //: if VANILLA
    return select(zero, one, x > zero);
    //: end
    //: if CLIPPED
    return select(zero, one, (x > zero) & (x <= vec4<f32>(p.step)));
    //: end
    //: if LOG_TAILED
    let tail = one / max(x - (p.step - 1.0), one);
    return select(zero, select(one, tail, x > vec4<f32>(p.step)), x > zero);
    //: end
}

fn prepare(quad: u32) {
    //: if NORMALISED
    norm_prepare(quad);
    //: end
}

fn at(i: u32, quad: u32) {
    //: if NORMALISED
    let z = normalise(x_at(i));
    //: else
    let z = x_at(i);
    //: end
    dx_put(i, dy_at(i) * slope(z));
}
