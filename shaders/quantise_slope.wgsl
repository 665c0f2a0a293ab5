// The slope of a quantiser's surrogate at z.

fn top() -> f32 {
    //: if SCALED
    return p.top * scale_at(0u).x;
    //: else
    return p.top;
    //: end
}

fn slope(z: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>();
    let one = vec4<f32>(1.0);
    //: if IDENTITY
    return one;
    //: end
    //: if VANILLA
    return select(zero, one, z > zero);
    //: end
    //: if CLIPPED
    return select(zero, one, (z > zero) & (z <= vec4<f32>(top())));
    //: end
    //: if HARD_TANH
    return select(zero, one, abs(z) <= one);
    //: end
    //: if POLYNOMIAL
    return max(2.0 - 2.0 * abs(z), zero);
    //: end
    //: if LOG_TAILED
    let tail = one / max(z - (top() - 1.0), one);
    return select(zero, select(one, tail, z > vec4<f32>(top())), z > zero);
    //: end
}
