// y = f(x), or f of the normalised x.

//: if SIGMOID
var<private> is_channel: vec4<bool>; // the sigmoid of padding is not 0
//: end

fn prepare(quad: u32) {
    x_prepare(quad);
    //: if SIGMOID
    is_channel = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.channels);
    //: end
}

fn at(i: u32, quad: u32) {
    y_put(i, curve(x_at(i)));
}

fn curve(x: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>();
    let one = vec4<f32>(1.0);
    //: if CLIPPED_RELU
    return min(max(x, zero), vec4<f32>(p.number));
    //: end
    //: if LOG_TAILED_RELU
    let top = vec4<f32>(p.number);
    return select(max(x, zero), top + log(max(x - top, zero) + one), x > top);
    //: end
    //: if TANH
    let e = exp(-2.0 * abs(x));
    let y = (one - e) / (one + e);
    return select(y, -y, x < zero);
    //: end
    //: if HARD_TANH
    return min(max(x, -one), one);
    //: end
    //: if SIGMOID
    let e = exp(-abs(x));
    return select(zero, select(one, e, x < zero) / (one + e), is_channel);
    //: end
    //: if LEAKY_RELU
    return select(p.number * x, x, x > zero);
    //: end
}
