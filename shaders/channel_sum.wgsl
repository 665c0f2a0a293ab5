// out[c] = the sum over rows of x[row, c]; an item is a quad of channels.

fn item_count() -> u32 { return p.quads; }

fn row_count() -> u32 { return p.rows; }

fn term(quad: u32, row: u32) -> vec4<f32> { return x_at(row * p.quads + quad); }

fn finish(quad: u32, sum: vec4<f32>) { out_put(quad, sum * p.scale); }
