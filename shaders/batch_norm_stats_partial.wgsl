// Statistics of PER_CHUNK rows of one quad of channels; an invocation makes one chunk. Eight rows are read at the same time, and added one after the other.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let chunk = item / p.quads;
    let quad = item - chunk * p.quads;
    let first = chunk * PER_CHUNK;
    if (first >= p.rows) { return; }
    let last = min(first + PER_CHUNK, p.rows);
    //: if EXACT
    // Integers: the sum, and the sum of squares in 64 bits.
    var sum = vec4<i32>();
    var low = vec4<u32>();
    var high = vec4<u32>();
    for (var row = first; row < last; row += 8u) {
        //: for i in 8
        let x$i = x_int(min(row + $iu, last - 1u) * p.quads + quad);
        //: end
        //: for i in 8
        let v$i = select(vec4<i32>(), x$i, row + $iu < last);
        let square$i = bitcast<vec4<u32>>(v$i * v$i);
        sum += v$i;
        low += square$i;
        high += select(vec4<u32>(), vec4<u32>(1u), low < square$i);
        //: end
    }
    part_put(chunk * 3u * p.quads + quad, bitcast<vec4<u32>>(sum));
    part_put((chunk * 3u + 1u) * p.quads + quad, low);
    part_put((chunk * 3u + 2u) * p.quads + quad, high);
    //: else
    // Floats: the mean, then the squared deviations from it, and what rounding left of the mean.
    let zero = vec4<f32>();
    var total = zero;
    for (var row = first; row < last; row += 8u) {
        //: for i in 8
        let x$i = x_at(min(row + $iu, last - 1u) * p.quads + quad);
        //: end
        //: for i in 8
        total += select(zero, x$i, row + $iu < last);
        //: end
    }
    let mean = total / f32(last - first);
    var sum = zero;
    var squares = zero;
    for (var row = first; row < last; row += 8u) {
        //: for i in 8
        let d$i = x_at(min(row + $iu, last - 1u) * p.quads + quad) - mean;
        //: end
        //: for i in 8
        sum += select(zero, d$i, row + $iu < last);
        squares += select(zero, d$i * d$i, row + $iu < last);
        //: end
    }
    let rest = sum / f32(last - first);
    part_put(chunk * 2u * p.quads + quad, mean + rest);
    part_put((chunk * 2u + 1u) * p.quads + quad, squares - sum * rest);
    //: end
}
