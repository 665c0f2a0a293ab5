// Adds up the chunks of batch_norm_sums_partial; an item is a quad of one of the two rows. DIRECT:
// the chunks are computed in this launch. ROW_0, ROW_1: the row is also written as a separate
// tensor.

fn item_count() -> u32 { return 2u * p.quads; }

fn row_count() -> u32 { return (p.rows + PER_CHUNK - 1u) / PER_CHUNK; }

//: if DIRECT
fn term(item: u32, chunk: u32) -> vec4<f32> {
    let of_chunk = chunk_of(item % p.quads, chunk * PER_CHUNK);
    return select(of_chunk.dgamma, of_chunk.dbeta, item >= p.quads);
}
//: else
fn term(item: u32, chunk: u32) -> vec4<f32> { return part_at(chunk * 2u * p.quads + item); }
//: end

fn finish(item: u32, sum: vec4<f32>) {
    sums_put(item, sum);
    //: if ROW_0
    if (item < p.quads) { row_0_put(item, sum); }
    //: end
    //: if ROW_1
    if (item >= p.quads) { row_1_put(item - p.quads, sum); }
    //: end
}
