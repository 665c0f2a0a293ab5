// alpha = the same constant for every filter.
fn at(i: u32) {
    let filter_index = vec4<u32>(i * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    alpha_put(i, select(vec4<f32>(), vec4<f32>(bitcast<f32>(VALUE_BITS)), filter_index < vec4<u32>(FILTERS)));
}
