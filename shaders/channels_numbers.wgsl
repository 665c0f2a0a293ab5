// Copies channels of x to other positions in y, one quad of y at a time: channels low..high of y
// are those of x from the position given by `base` and `shift`, the rest is zero. KEPT: channels
// below `low` are kept.

//: if EXACT
alias Quad = vec4<i32>;
fn take(i: u32) -> Quad { return x_int(i); }
fn give(i: u32, v: Quad) { y_put_int(i, v); }
fn there(i: u32) -> Quad { return y_int(i); }
//: else
//: if WORDS
alias Quad = vec4<u32>;
//: else
alias Quad = vec4<f32>;
//: end
fn take(i: u32) -> Quad { return x_at(i); }
fn give(i: u32, v: Quad) { y_put(i, v); }
fn there(i: u32) -> Quad { return y_at(i); }
//: end

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let row = item / p.units;
    if (row >= p.rows) { return; }
    let unit = p.first_unit + item - row * p.units;
    let at = row * p.out_units + unit;
    // The quad of x with the first lane, and the next one; beyond the ends any quad will do,
    // because its lanes are not selected.
    let source = i32(unit) - p.base;
    let last = i32(p.in_units) - 1;
    let row_start = row * p.in_units;
    var a = take(row_start + u32(clamp(source, 0, last)));
    if (p.shift > 0u) {
        var b = take(row_start + u32(clamp(source + 1, 0, last)));
        if ((p.shift & 1u) != 0u) {
            a = Quad(a.yzw, b.x);
            b = Quad(b.yzw, b.x);
        }
        if ((p.shift & 2u) != 0u) { a = Quad(a.zw, b.xy); }
    }
    let channel = vec4<u32>(unit * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let low = channel >= vec4<u32>(p.low);
    a = select(Quad(), a, low & (channel < vec4<u32>(p.high)));
    //: if KEPT
    if (unit * 4u < p.low) { a = select(there(at), a, low); }
    //: end
    give(at, a);
}
