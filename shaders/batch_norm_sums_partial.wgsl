// Sums of dz * normalised and of dz over PER_CHUNK rows, for one quad; one invocation per chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let chunk = item / p.quads;
    let quad = item - chunk * p.quads;
    let first = chunk * PER_CHUNK;
    if (first >= p.rows) { return; }
    let of_chunk = chunk_of(quad, first);
    part_put(chunk * 2u * p.quads + quad, of_chunk.dgamma);
    part_put((chunk * 2u + 1u) * p.quads + quad, of_chunk.dbeta);
}
