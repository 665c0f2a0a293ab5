fn track(quad: u32, mean: vec4<f32>, variance: vec4<f32>) {
    //: if ALPHA
    let scale = alpha_at(quad) * p.step;
    //: else
    let scale = vec4<f32>(1.0);
    //: end
    let of_y = mean * scale;
    let unbiased = variance * (scale * scale) * p.unbiased;
    running_put(quad, running_at(quad) * p.keep + of_y * p.momentum);
    running_put(p.quads + quad, running_at(p.quads + quad) * p.keep + unbiased * p.momentum);
}

//: if ALONE
fn at(quad: u32) { track(quad, stats_at(quad), stats_at(p.quads + quad)); }
//: end
