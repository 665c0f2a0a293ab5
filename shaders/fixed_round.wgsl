// Rounds x to a multiple of eps between low and high: to the nearest, ties to even, or
// stochastically to the one below or above.
fn rounded(x: vec4<f32>, i: u32) -> vec4<f32> {
    let t = clamp(x, vec4<f32>(p.low), vec4<f32>(p.high)) * p.scale;
    //: if STOCHASTIC
    let below = floor(t);
    let up = fraction(random_quad(i, p.stream)) < t - below;
    return (below + select(vec4<f32>(), vec4<f32>(1.0), up)) * p.eps;
    //: else
    return round(t) * p.eps;
    //: end
}
