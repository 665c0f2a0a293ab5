// Adds up the chunks of square_sum_partial and the four lanes of a quad; the only item is the
// tensor.

fn item_count() -> u32 { return 1u; }

// Each chunk has one sum per lane.
fn row_count() -> u32 {
    let rows = (p.quads + 63u) / 64u;
    return (rows + PER_CHUNK - 1u) / PER_CHUNK * 64u;
}

fn term(item: u32, row: u32) -> vec4<f32> { return part_at(row); }

fn finish(item: u32, all: vec4<f32>) {
    let sum = (all.x + all.y) + (all.z + all.w);
    //: if JOINED
    total_put(0u, vec4<f32>(sum + before_at(0u).x, 0.0, 0.0, 0.0));
    //: else
    total_put(0u, vec4<f32>(sum, 0.0, 0.0, 0.0));
    //: end
}
