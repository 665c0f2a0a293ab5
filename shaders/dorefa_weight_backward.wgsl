// dw = (1 - t^2) / T (dy - [|w| is the largest] sign(w) sum(dy t) / T), t = tanh w, T = tanh of the
// largest magnitude.

var<private> top_weight: f32;
var<private> top: f32;
var<private> through_top: f32;

fn summand(i: u32) -> vec4<f32> { return columns_at(i); }

fn prepare(quad: u32) {
    top_weight = 0.0;
    for (var row = 0u; row < LARGEST_ROWS; row++) { top_weight = max(top_weight, largest_at(row).x); }
    top = tanh(top_weight);
    through_top = quads_sum(0u, p.quads) / top;
}

fn at(i: u32, quad: u32) {
    let w = w_at(i);
    let t = tanh(w);
    let through = select(vec4<f32>(-through_top), vec4<f32>(through_top), w >= vec4<f32>());
    let g = dy_at(i) - select(vec4<f32>(), through, abs(w) == vec4<f32>(top_weight));
    dw_put(i, g * (1.0 - t * t) / top);
}
