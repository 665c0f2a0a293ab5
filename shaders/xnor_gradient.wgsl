// dw = sign(w) mean(dy sign(w)) + alpha dy [|w| <= 1]; rows of channels that do not exist stay zero.

var<private> shared_part: vec4<f32>;
var<private> scale: vec4<f32>;

fn prepare(quad: u32) {
    shared_part = mean_at(quad);
    scale = alpha_at(quad);
}

fn at(i: u32, quad: u32) {
    let w = w_at(i);
    let inside = select(vec4<f32>(), scale * dy_at(i), abs(w) <= vec4<f32>(1.0));
    let whole = select(-shared_part, shared_part, w >= vec4<f32>()) + inside;
    dw_put(i, select(vec4<f32>(), whole, (i / p.quads) % CHANNEL_ROWS < CHANNELS));
}
