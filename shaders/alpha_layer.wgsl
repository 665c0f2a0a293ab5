// alpha = the mean of the alphas of all filters, for every filter.
fn summand(i: u32) -> vec4<f32> { return of_filter_at(i); }

fn at(i: u32) {
    let mean = quads_sum(0u, p.quads) / f32(FILTERS);
    let filter_index = vec4<u32>(i * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    alpha_put(i, select(vec4<f32>(), vec4<f32>(mean), filter_index < vec4<u32>(FILTERS)));
}
