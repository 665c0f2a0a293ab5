// Adds up the chunks of batch_norm_sums_partial; an item is a quad of one of the two rows. ROW_0, ROW_1: each row stands by itself, too.

fn item_count() -> u32 { return 2u * p.quads; }

fn row_count() -> u32 { return (p.rows + PER_CHUNK - 1u) / PER_CHUNK; }

fn term(item: u32, chunk: u32) -> vec4<f32> { return part_at(chunk * 2u * p.quads + item); }

fn finish(item: u32, sum: vec4<f32>) {
    sums_put(item, sum);
    //: if ROW_0
    if (item < p.quads) { row_0_put(item, sum); }
    //: end
    //: if ROW_1
    if (item >= p.quads) { row_1_put(item - p.quads, sum); }
    //: end
}
