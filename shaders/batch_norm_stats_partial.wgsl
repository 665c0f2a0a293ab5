// Statistics of PER_CHUNK rows of one quad of channels; one invocation per chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let chunk = item / p.quads;
    let quad = item - chunk * p.quads;
    let first = chunk * PER_CHUNK;
    if (first >= p.rows) { return; }
    let of_chunk = chunk_of(quad, first);
    //: if EXACT
    part_put(chunk * 3u * p.quads + quad, bitcast<vec4<u32>>(of_chunk.sum));
    part_put((chunk * 3u + 1u) * p.quads + quad, of_chunk.low);
    part_put((chunk * 3u + 2u) * p.quads + quad, of_chunk.high);
    //: else
    part_put(chunk * 2u * p.quads + quad, of_chunk.mean);
    part_put((chunk * 2u + 1u) * p.quads + quad, of_chunk.deviation);
    //: end
}
