// Statistics from the sums of batch_norm_moments.

fn at(quad: u32) {
    exact_found(quad, bitcast<vec4<i32>>(moments_at(quad)), moments_at(p.quads + quad), moments_at(2u * p.quads + quad));
}
