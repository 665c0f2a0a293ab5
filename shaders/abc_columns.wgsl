// For each bin between thresholds, of four filters: the number of weights in it, and their sum.
// MOMENTS: the sum and the sum of squares of all weights. An item is one of the two numbers of a
// bin of four filters.

fn item_count() -> u32 { return p.items; }

fn row_count() -> u32 { return p.rows; }

fn term(item: u32, row: u32) -> vec4<f32> {
    let row_of_columns = item / p.quads;
    let column = item - row_of_columns * p.quads;
    let second = (row_of_columns & 1u) == 1u;
    let w = w_at(row * p.quads + column);
    //: if MOMENTS
    return select(w, w * w, second);
    //: else
    let exists = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(FILTERS);
    var reached = vec4<u32>();
    //: for i in COUNT
    reached += select(vec4<u32>(), vec4<u32>(1u), w >= vec4<f32>(thresholds_at($iu / 4u)[$iu % 4u]));
    //: end
    let chosen = exists & (reached == vec4<u32>(row_of_columns / 2u)) & vec4<bool>(row % CHANNEL_ROWS < CHANNELS);
    return select(vec4<f32>(), select(vec4<f32>(1.0), w, second), chosen);
    //: end
}

fn finish(item: u32, sum: vec4<f32>) { columns_put(item, sum); }
