// One invocation per quad of channels in ROWS consecutive rows, so that per-channel operands are
// loaded once. The op's body declares `fn prepare(quad)` and `fn at(i, quad)`, where i is the index
// of the quad in the tensor.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let block = item / p.quads;
    let quad = item - block * p.quads;
    let first = block * ROWS;
    if (first >= p.rows) { return; }
    prepare(quad);
    let last = min(first + ROWS, p.rows);
    for (var row = first; row < last; row++) { at(row * p.quads + quad, quad); }
}
