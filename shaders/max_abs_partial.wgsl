// The largest |x| of PER_CHUNK quads of one sample, lane by lane; one invocation per chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    if (item >= p.samples * p.chunks) { return; }
    let row = item / p.chunks;
    let first = (item - row * p.chunks) * PER_CHUNK;
    let last = min(first + PER_CHUNK, p.quads);
    var largest = vec4<f32>();
    for (var quad = first; quad < last; quad++) { largest = max(largest, abs(x_at(row * p.quads + quad))); }
    part_put(item, largest);
}
