// Packs the signs of 32 input channels of four filters into four words; sign(0) = +1.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let column = item % p.quads;
    let tap_word = item / p.quads;
    if (tap_word >= p.taps * p.words) { return; }
    let tap = tap_word / p.words;
    let first = (tap_word - tap * p.words) * 32u;
    let last = min(first + 32u, p.channels);
    var bits = vec4<u32>();
    for (var c = first; c < last; c++) {
        let w = w_at((tap * p.rows + c) * p.quads + column);
        bits |= select(vec4<u32>(), vec4<u32>(1u << (c - first)), w >= vec4<f32>());
    }
    let filter_index = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    signs_put(item, select(vec4<u32>(), bits, filter_index < vec4<u32>(p.filters)));
}
