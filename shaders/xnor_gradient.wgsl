// dw = sign(w) mean(dy sign(w)) + alpha dy [|w| <= 1]; rows of nonexistent channels stay zero.

var<private> shared_part: vec4<f32>;
var<private> scale: vec4<f32>;

//: if OF_LAYER
fn summand(i: u32) -> vec4<f32> { return mean_at(i); }
//: end

fn prepare(quad: u32) {
    //: if OF_FILTER
    shared_part = mean_at(quad);
    //: end
    //: if OF_LAYER
    shared_part = vec4<f32>(quads_sum(0u, p.quads) / f32(FILTERS));
    //: end
    scale = alpha_at(quad);
}

fn at(i: u32, quad: u32) {
    let w = w_at(i);
    let inside = select(vec4<f32>(), scale * dy_at(i), abs(w) <= vec4<f32>(1.0));
    let whole = select(-shared_part, shared_part, w >= vec4<f32>()) + inside;
    let filter_index = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let exists = (i / p.quads) % CHANNEL_ROWS < CHANNELS;
    dw_put(i, select(vec4<f32>(), whole, vec4<bool>(exists) & (filter_index < vec4<u32>(FILTERS))));
}
