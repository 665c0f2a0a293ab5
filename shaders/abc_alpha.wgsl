// Writes the coefficient of each base for every filter.
fn at(i: u32) {
    let base = i / QUADS;
    let filter_index = vec4<u32>((i - base * QUADS) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    alpha_put(i, select(vec4<f32>(), vec4<f32>(bases_at(base).x), filter_index < vec4<u32>(FILTERS)));
}
