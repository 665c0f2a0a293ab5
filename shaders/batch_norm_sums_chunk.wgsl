// Sums of dz * normalised and of dz over the rows of a chunk, for one quad.

struct Chunk { dgamma: vec4<f32>, dbeta: vec4<f32> }

fn chunk_of(quad: u32, first: u32) -> Chunk {
    let last = min(first + PER_CHUNK, p.rows);
    gradient_prepare(quad);
    let zero = vec4<f32>();
    var dgamma = zero;
    var dbeta = zero;
    // Four rows are loaded together and added sequentially.
    for (var row = first; row < last; row += 4u) {
        //: for i in 4
        let i$i = min(row + $iu, last - 1u) * p.quads + quad;
        let x$i = x_at(i$i);
        let dz$i = gradient(x$i, dz_of(i$i, quad));
        //: end
        //: for i in 4
        dgamma += select(zero, dz$i * normalised(x$i), row + $iu < last);
        dbeta += select(zero, dz$i, row + $iu < last);
        //: end
    }
    return Chunk(dgamma, dbeta);
}
