// Sum of a row of columns over all filters.
fn summand(i: u32) -> vec4<f32> { return columns_at(i); }
fn total(row: u32) -> f32 { return quads_sum(row * p.quads, p.quads); }
