// Rows are those of a window's output; their sources are in its input.

fn row_count() -> u32 { return p.images * u32(p.out_h * p.out_w); }

// The first row of the image in the input, and the input position at tap (0, 0), which may be in
// the padding.
fn locate(row: u32) -> vec3<i32> {
    let width = u32(p.out_w);
    let line = row / width;
    let image = line / u32(p.out_h);
    let y = line - image * u32(p.out_h);
    let x = row - line * width;
    return vec3<i32>(i32(image) * p.in_h * p.in_w, i32(y) * p.stride_h - p.pad_h, i32(x) * p.stride_w - p.pad_w);
}

// The input row at a tap, or -1 in the padding. Without `&&`, which is a branch: a tile looks up
// many rows. Negative positions are large as unsigned numbers.
fn source(at: vec3<i32>, r: i32, s: i32) -> i32 {
    let y = at.y + r * p.dilation_h;
    let x = at.z + s * p.dilation_w;
    let of_line = select(-1, at.x + y * p.in_w + x, u32(x) < u32(p.in_w));
    return select(-1, of_line, u32(y) < u32(p.in_h));
}
