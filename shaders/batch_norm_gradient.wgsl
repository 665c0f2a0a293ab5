// Common part of the gradients of a batch-norm: the normalised x and the gradient of the map's
// output, for one quad of channels. THROUGH: the gradient passes through an activation after the
// map.

var<private> mean: vec4<f32>;
var<private> unit: vec4<f32>;
//: if THROUGH
var<private> map_slope: vec4<f32>;
var<private> map_shift: vec4<f32>;
//: end

fn gradient_prepare(quad: u32) {
    mean = coef_at(quad);
    unit = coef_at(3u * p.quads + quad);
    //: if THROUGH
    map_slope = coef_at(p.quads + quad);
    map_shift = coef_at(2u * p.quads + quad);
    //: end
}

fn normalised(x: vec4<f32>) -> vec4<f32> { return (x - mean) * unit; }

fn gradient(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    //: if THROUGH
    return dy * slope((x - mean) * map_slope + map_shift);
    //: else
    return dy;
    //: end
}

//: if UNPOOLED
//: else
//: if IN_PLACE
fn dz_of(i: u32, quad: u32) -> vec4<f32> { return dx_at(i); }
//: else
fn dz_of(i: u32, quad: u32) -> vec4<f32> { return dz_at(i); }
//: end
//: end
