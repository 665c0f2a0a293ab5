fn at(quad: u32) {
    //: if ALPHA
    let scale = alpha_at(quad) * p.step;
    //: else
    let scale = vec4<f32>(1.0);
    //: end
    let mean = stats_at(quad) * scale;
    let variance = stats_at(p.quads + quad) * (scale * scale) * p.unbiased;
    running_put(quad, running_at(quad) * p.keep + mean * p.momentum);
    running_put(p.quads + quad, running_at(p.quads + quad) * p.keep + variance * p.momentum);
}
