// Sums of squares over PER_CHUNK rows of 64 quads; one invocation per lane of a chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let rows = (p.quads + 63u) / 64u;
    let lane = item % 64u;
    let first = item / 64u * PER_CHUNK;
    if (first >= rows) { return; }
    let last = min(first + PER_CHUNK, rows);
    var sum = vec4<f32>();
    for (var row = first; row < last; row++) {
        let i = row * 64u + lane;
        if (i < p.quads) { sum += x_at(i) * x_at(i); }
    }
    part_put(item, sum);
}
