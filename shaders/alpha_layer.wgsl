// alpha = the mean over the filters' alphas, for every filter.
fn at(i: u32) {
    var sum = vec4<f32>();
    for (var quad = 0u; quad < p.quads; quad++) { sum += of_filter_at(quad); }
    let mean = ((sum.x + sum.y) + (sum.z + sum.w)) / f32(FILTERS);
    let filter_index = vec4<u32>(i * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    alpha_put(i, select(vec4<f32>(), vec4<f32>(mean), filter_index < vec4<u32>(FILTERS)));
}
