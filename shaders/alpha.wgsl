// alpha[k] = mean of |w| over a filter, or of dy sign(w), or the sum of dy tanh(w); an item is four
// filters.

fn item_count() -> u32 { return p.quads; }

fn row_count() -> u32 { return p.rows; }

fn term(column: u32, row: u32) -> vec4<f32> {
    let i = row * p.quads + column;
    //: if OF_GRADIENT
    return select(-dy_at(i), dy_at(i), w_at(i) >= vec4<f32>());
    //: else
    //: if OF_TANH
    return dy_at(i) * tanh(w_at(i));
    //: else
    return abs(w_at(i));
    //: end
    //: end
}

fn finish(column: u32, sum: vec4<f32>) { alpha_put(column, sum / p.count); }
