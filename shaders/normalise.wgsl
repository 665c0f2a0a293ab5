// z = (x - mean) * slope + shift, from the first three rows of a batch-norm's coefficients.

var<private> norm_mean: vec4<f32>;
var<private> norm_slope: vec4<f32>;
var<private> norm_shift: vec4<f32>;

fn norm_prepare(quad: u32) {
    norm_mean = coef_at(quad);
    norm_slope = coef_at(p.quads + quad);
    norm_shift = coef_at(2u * p.quads + quad);
}

fn normalise(x: vec4<f32>) -> vec4<f32> { return (x - norm_mean) * norm_slope + norm_shift; }
