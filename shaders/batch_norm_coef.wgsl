// Rows of coef: mean, slope, shift (the map), unit (x to normalised), gain (gradient of the
// normalised value to that of y).

fn coefficients(quad: u32, mean: vec4<f32>, variance: vec4<f32>) {
    let channel = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let exists = channel < vec4<u32>(CHANNELS);
    let zero = vec4<f32>();
    //: if ALPHA
    let scale = alpha_at(quad) * p.step;
    //: else
    let scale = vec4<f32>(1.0);
    //: end
    //: if AFFINE
    let gamma = gamma_at(quad);
    let beta = beta_at(quad);
    //: else
    let gamma = vec4<f32>(1.0);
    let beta = zero;
    //: end
    //: if RUNNING
    let inverse = 1.0 / sqrt(variance + p.eps);
    let centre = zero;
    let shift = beta - mean * (gamma * inverse);
    //: else
    let inverse = 1.0 / sqrt(variance * (scale * scale) + p.eps);
    let centre = mean;
    let shift = beta;
    //: end
    let unit = scale * inverse;
    coef_put(quad, select(zero, centre, exists));
    coef_put(p.quads + quad, select(zero, unit * gamma, exists));
    coef_put(2u * p.quads + quad, select(zero, shift, exists));
    coef_put(3u * p.quads + quad, select(zero, unit, exists));
    coef_put(4u * p.quads + quad, select(zero, inverse * gamma, exists));
}

//: if ALONE
fn at(quad: u32) { coefficients(quad, stats_at(quad), stats_at(p.quads + quad)); }
//: end
