// dx = gain (dz - mean(dz) - normalised * mean(dz * normalised))

var<private> mean: vec4<f32>;
var<private> unit: vec4<f32>;
var<private> gain: vec4<f32>;
var<private> mean_dz: vec4<f32>;
var<private> mean_dz_x: vec4<f32>;

fn prepare(quad: u32) {
    mean = coef_at(quad);
    unit = coef_at(3u * p.quads + quad);
    gain = coef_at(4u * p.quads + quad);
    mean_dz_x = sums_at(quad) / f32(p.rows);
    mean_dz = sums_at(p.quads + quad) / f32(p.rows);
}

fn at(i: u32, quad: u32) {
    let normalised = (x_at(i) - mean) * unit;
    dx_put(i, gain * (dz_at(i) - mean_dz - normalised * mean_dz_x));
}
