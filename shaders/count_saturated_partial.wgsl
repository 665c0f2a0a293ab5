// Number of values outside the range in PER_CHUNK rows of one quad of channels, lane by lane; one
// invocation per chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let chunk = item / p.quads;
    let quad = item - chunk * p.quads;
    let first = chunk * PER_CHUNK;
    if (first >= p.rows) { return; }
    let last = min(first + PER_CHUNK, p.rows);
    x_prepare(quad);
    var count = vec4<u32>();
    for (var row = first; row < last; row++) {
        let x = x_at(row * p.quads + quad);
        count += select(vec4<u32>(), vec4<u32>(1u), (x < vec4<f32>(p.low)) | (x > vec4<f32>(p.high)));
    }
    part_put(item, count);
}
