// dx = dy * f' at the x for which f(x) = y.

fn slope(y: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>();
    let one = vec4<f32>(1.0);
    //: if CLIPPED_RELU
    return select(zero, one, (y > zero) & (y < vec4<f32>(p.number)));
    //: end
    //: if LOG_TAILED_RELU
    let tail = exp(min(vec4<f32>(p.number) - y, zero));
    return select(zero, tail, y > zero);
    //: end
    //: if TANH
    return one - y * y;
    //: end
    //: if HARD_TANH
    return select(zero, one, abs(y) < one);
    //: end
    //: if SIGMOID
    return y * (one - y);
    //: end
    //: if LEAKY_RELU
    return select(vec4<f32>(p.number), one, y > zero);
    //: end
}

fn at(i: u32) { dx_put(i, dy_at(i) * slope(y_at(i))); }
