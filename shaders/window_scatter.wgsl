// Rows of a window's input; their sources lie in its output.

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

// The output row that sees the input position under a tap, or -1 where there is none.
fn source(at: vec3<i32>, r: i32, s: i32) -> i32 {
    let up = r * p.dilation_h;
    let left = s * p.dilation_w;
    //: if UNIT_STRIDE
    let y = at.y - up;
    let x = at.z - left;
    let inside = y >= 0 && y < p.out_h && x >= 0 && x < p.out_w;
    //: else
    let down = max(at.y - up, 0);
    let right = max(at.z - left, 0);
    let y = down / p.stride_h;
    let x = right / p.stride_w;
    let inside = at.y >= up && at.z >= left && y < p.out_h && x < p.out_w
        && y * p.stride_h == down && x * p.stride_w == right;
    //: end
    return select(-1, at.x + y * p.out_w + x, inside);
}
