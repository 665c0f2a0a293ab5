// The sum over all filters of a row of columns.
fn total(row: u32) -> f32 {
    var sum = vec4<f32>();
    for (var quad = 0u; quad < p.quads; quad++) { sum += columns_at(row * p.quads + quad); }
    return (sum.x + sum.y) + (sum.z + sum.w);
}
