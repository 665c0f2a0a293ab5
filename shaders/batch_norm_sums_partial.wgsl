// Sums over PER_CHUNK rows of dz * normalised and of dz, for one quad; an invocation makes one chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let chunk = item / p.quads;
    let quad = item - chunk * p.quads;
    let first = chunk * PER_CHUNK;
    if (first >= p.rows) { return; }
    let last = min(first + PER_CHUNK, p.rows);
    let mean = coef_at(quad);
    let unit = coef_at(3u * p.quads + quad);
    var dgamma = vec4<f32>();
    var dbeta = vec4<f32>();
    for (var row = first; row < last; row++) {
        let dz = dz_at(row * p.quads + quad);
        dgamma += dz * ((x_at(row * p.quads + quad) - mean) * unit);
        dbeta += dz;
    }
    part_put(chunk * 2u * p.quads + quad, dgamma);
    part_put((chunk * 2u + 1u) * p.quads + quad, dbeta);
}
