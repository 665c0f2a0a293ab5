// Sums over PER_CHUNK rows of dz * normalised and of dz, for one quad; an invocation makes one chunk.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let chunk = item / p.quads;
    let quad = item - chunk * p.quads;
    let first = chunk * PER_CHUNK;
    if (first >= p.rows) { return; }
    let last = min(first + PER_CHUNK, p.rows);
    gradient_prepare(quad);
    let zero = vec4<f32>();
    var dgamma = zero;
    var dbeta = zero;
    // Four rows are read at the same time, and added one after the other.
    for (var row = first; row < last; row += 4u) {
        //: for i in 4
        let i$i = min(row + $iu, last - 1u) * p.quads + quad;
        let x$i = x_at(i$i);
        let dz$i = gradient(x$i, dz_at(i$i));
        //: end
        //: for i in 4
        dgamma += select(zero, dz$i * normalised(x$i), row + $iu < last);
        dbeta += select(zero, dz$i, row + $iu < last);
        //: end
    }
    part_put(chunk * 2u * p.quads + quad, dgamma);
    part_put((chunk * 2u + 1u) * p.quads + quad, dbeta);
}
