// dx = gain (dz - mean(dz) - normalised * mean(dz * normalised)); PLUS: added to another gradient.

var<private> gain: vec4<f32>;
var<private> mean_dz: vec4<f32>;
var<private> mean_dz_x: vec4<f32>;

fn prepare(quad: u32) {
    gradient_prepare(quad);
    gain = coef_at(4u * p.quads + quad);
    mean_dz_x = sums_at(quad) / f32(p.rows);
    mean_dz = sums_at(p.quads + quad) / f32(p.rows);
}

fn at(i: u32, quad: u32) {
    let x = x_at(i);
    //: if PLUS
    let dx = gain * (gradient(x, dz_of(i, quad)) - mean_dz - normalised(x) * mean_dz_x) + other_at(i);
    //: else
    let dx = gain * (gradient(x, dz_of(i, quad)) - mean_dz - normalised(x) * mean_dz_x);
    //: end
    //: if POOLED
    put(i, quad, dx);
    //: else
    dx_put(i, dx);
    //: end
}
