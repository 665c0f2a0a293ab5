// One invocation per quad: calls `fn at(i)` of the op's body.

@main {
    let i = group_index(group, groups) * THREADS + thread;
    if (i < p.quads) { at(i); }
}
