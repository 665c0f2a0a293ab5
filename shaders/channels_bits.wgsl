// Copies channels of x to other positions in y, one word of a plane of y at a time: see
// channels_numbers. A row is one plane of one row.

// Ones in the lowest n bits.
fn lowest(n: i32) -> u32 { return select((1u << u32(n & 31)) - 1u, 0xffffffffu, n >= 32); }

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let row = item / p.units;
    if (row >= p.rows) { return; }
    let unit = p.first_unit + item - row * p.units;
    let at = row * p.out_units + unit;
    let source = i32(unit) - p.base;
    let last = i32(p.in_units) - 1;
    let row_start = row * p.in_units;
    var a = x[row_start + u32(clamp(source, 0, last))];
    if (p.shift > 0u) {
        let b = x[row_start + u32(clamp(source + 1, 0, last))];
        a = (a >> p.shift) | (b << (32u - p.shift));
    }
    let first = i32(unit * 32u);
    let below = lowest(clamp(i32(p.low) - first, 0, 32));
    a &= lowest(clamp(i32(p.high) - first, 0, 32)) & ~below;
    //: if KEPT
    a |= y[at] & below;
    //: end
    y[at] = a;
}
