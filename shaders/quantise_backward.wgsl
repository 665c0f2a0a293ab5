// dx = dy * slope of the surrogate at x, or at the normalised x.

fn top() -> f32 {
    //: if SCALED
    return p.top * scale_at(0u).x;
    //: else
    return p.top;
    //: end
}

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
    return select(zero, one, (x > zero) & (x <= vec4<f32>(top())));
    //: end
    //: if HARD_TANH
    return select(zero, one, abs(x) <= one);
    //: end
    //: if POLYNOMIAL
    return max(2.0 - 2.0 * abs(x), zero);
    //: end
    //: if LOG_TAILED
    let tail = one / max(x - (top() - 1.0), one);
    return select(zero, select(one, tail, x > vec4<f32>(top())), x > zero);
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
