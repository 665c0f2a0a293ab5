// One quad of channels at one position of an image of the batch, from one part of the store: image
// `index[n]` with its augmentation.

// The normalised value of byte `at` of the store, in lane l of quad q.
fn value(at: u32, q: u32, l: u32) -> f32 {
    let word = at >> 2u;
    let pixel = (store[word >> 2u][word & 3u] >> (8u * (at & 3u))) & 0xffu;
    return table[pixel * p.row + q][l];
}

// A position along an axis of this length, reflected at its ends, which are not repeated.
fn reflected(at: i32, length: i32) -> i32 {
    return length - 1 - abs(length - 1 - abs(at));
}

fn at(i: u32) {
    let row = i / p.row;
    let q = i - row * p.row;
    let line = row / p.w;
    let n = line / p.h;
    let y_out = line - n * p.h;
    let x_out = row - line * p.w;
    let image = index[n >> 2u][n & 3u] - p.first;
    if (image >= p.images) { return; } // it is in another part, whose launch writes it
    var sy = i32(y_out);
    var sx = i32(x_out);
    //: if DRAWS
    let drawn = random_quad(n, p.stream);
    //: if MIRROR
    if (drawn.z >= 0x80000000u) { sx = i32(p.w) - 1 - sx; }
    //: end
    sy += i32(multiply_high(drawn.x, p.shifts_h)) - i32(p.pad);
    sx += i32(multiply_high(drawn.y, p.shifts_w)) - i32(p.pad);
    //: end
    //: if CUTOUT
    let cut = random_quad(n | 0x80000000u, p.stream);
    let half = p.cutout / 2u;
    // Above or left of the square, the unsigned difference wraps around.
    if (y_out + half - multiply_high(cut.x, p.h) < p.cutout && x_out + half - multiply_high(cut.y, p.w) < p.cutout) {
        y_put(i, vec4<f32>());
        return;
    }
    //: end
    let source = vec2<i32>(i32(p.source_h), i32(p.source_w));
    //: if REPLICATE
    sy = clamp(sy, 0, source.x - 1);
    sx = clamp(sx, 0, source.y - 1);
    //: end
    //: if REFLECT
    sy = reflected(sy, source.x);
    sx = reflected(sx, source.y);
    //: end
    //: if ZERO
    if (sy < 0 || sx < 0 || sy >= source.x || sx >= source.y) {
        //: if MEAN
        y_put(i, vec4<f32>());
        //: else
        y_put(i, table[q]);
        //: end
        return;
    }
    //: end
    let place = u32(sy) * p.source_w + u32(sx);
    let first = (image * p.source_h * p.source_w + place) * CHANNELS + 4u * q;
    let lanes = min(CHANNELS - 4u * q, 4u);
    var v = vec4<f32>(value(first, q, 0u), 0.0, 0.0, 0.0);
    if (lanes > 1u) { v.y = value(first + 1u, q, 1u); }
    if (lanes > 2u) { v.z = value(first + 2u, q, 2u); }
    if (lanes > 3u) { v.w = value(first + 3u, q, 3u); }
    //: if MEAN
    v -= mean[place * p.row + q];
    //: end
    y_put(i, v);
}
