// The sum of dy * min(x, 0) over PER_CHUNK rows, for one quad; one invocation per chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let chunk = item / p.quads;
    let quad = item - chunk * p.quads;
    let first = chunk * PER_CHUNK;
    if (first >= p.rows) { return; }
    let last = min(first + PER_CHUNK, p.rows);
    x_prepare(quad);
    var sum = vec4<f32>();
    for (var row = first; row < last; row++) {
        let x = x_at(row * p.quads + quad);
        sum += dy_at(row * p.quads + quad) * min(x, vec4<f32>());
    }
    part_put(chunk * p.quads + quad, sum);
}
