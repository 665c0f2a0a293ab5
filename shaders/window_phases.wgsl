// Rows of the input whose positions are equal modulo the stride have the same taps: a phase. Rows
// are counted within their phase; if the stride does not divide the input, some do not exist.

fn phase_row_count() -> u32 {
    return p.images * u32((p.in_h + p.stride_h - 1) / p.stride_h * ((p.in_w + p.stride_w - 1) / p.stride_w));
}

// Image, y and x of a row of a phase.
fn phase_place(row: u32, phase: u32) -> vec3<i32> {
    let height = u32((p.in_h + p.stride_h - 1) / p.stride_h);
    let width = u32((p.in_w + p.stride_w - 1) / p.stride_w);
    let line = row / width;
    let image = line / height;
    let y = i32(line - image * height) * p.stride_h + i32(phase) / p.stride_w;
    let x = i32(row - line * width) * p.stride_w + i32(phase) % p.stride_w;
    return vec3<i32>(i32(image), y, x);
}

// As `locate`. Nonexistent rows are located too; their results are discarded.
fn phase_locate(row: u32, phase: u32) -> vec3<i32> {
    let place = phase_place(row, phase);
    return vec3<i32>(place.x * p.out_h * p.out_w, place.y + p.pad_h, place.z + p.pad_w);
}

// The index of the row in the tensor, or -1 if it does not exist.
fn phase_target(row: u32, phase: u32) -> i32 {
    let place = phase_place(row, phase);
    let of_line = select(-1, (place.x * p.in_h + place.y) * p.in_w + place.z, place.z < p.in_w);
    return select(-1, of_line, place.y < p.in_h);
}

// The first tap of a phase and the number of its taps, down and across.
fn phase_taps(phase: u32) -> vec4<i32> {
    let r = (i32(phase) / p.stride_w + p.pad_h) % p.stride_h;
    let s = (i32(phase) % p.stride_w + p.pad_w) % p.stride_w;
    return vec4<i32>(
        r, s, (max(p.kernel_h - r, 0) + p.stride_h - 1) / p.stride_h, (max(p.kernel_w - s, 0) + p.stride_w - 1) / p.stride_w);
}
