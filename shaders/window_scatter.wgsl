// Rows are those of a window's input; their sources are in its output.

fn row_count() -> u32 { return p.images * u32(p.in_h * p.in_w); }

// The first row of the image in the output, and the input position in padded coordinates.
fn locate(row: u32) -> vec3<i32> {
    let width = u32(p.in_w);
    let line = row / width;
    let image = line / u32(p.in_h);
    let y = line - image * u32(p.in_h);
    let x = row - line * width;
    return vec3<i32>(i32(image) * p.out_h * p.out_w, i32(y) + p.pad_h, i32(x) + p.pad_w);
}

// The output row whose tap is at the input position, or -1 if there is none. Without `&&`, which is
// a branch: a tile looks up many rows. Negative positions are large as unsigned numbers.
fn source(at: vec3<i32>, r: i32, s: i32) -> i32 {
    let down = at.y - r * p.dilation_h;
    let right = at.z - s * p.dilation_w;
    //: if UNIT_STRIDE
    let y = down;
    let x = right;
    let row = at.x + y * p.out_w + x;
    //: else
    let y = down / p.stride_h;
    let x = right / p.stride_w;
    let between = (y * p.stride_h - down) | (x * p.stride_w - right); // not 0 if the stride skips it
    let row = select(-1, at.x + y * p.out_w + x, between == 0);
    //: end
    let of_line = select(-1, row, u32(x) < u32(p.out_w));
    return select(-1, of_line, u32(y) < u32(p.out_h));
}
