// Stores the statistics of a quad of channels and derived values: COEF the coefficients, TRACK the
// running statistics.

fn found(quad: u32, mean: vec4<f32>, variance: vec4<f32>) {
    stats_put(quad, mean);
    stats_put(p.quads + quad, variance);
    //: if COEF
    coefficients(quad, mean, variance);
    //: end
    //: if TRACK
    track(quad, mean, variance);
    //: end
}
