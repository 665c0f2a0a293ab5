// Filters beyond the last exist as padding lanes only: they stay zero.
fn keep_filters(v: vec4<i32>, column: u32) -> vec4<i32> {
    let filter_index = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<i32>(), v, filter_index < vec4<u32>(FILTERS));
}
