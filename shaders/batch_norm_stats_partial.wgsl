// Statistics of PER_CHUNK rows of one quad of channels; an invocation makes one chunk.

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
    for (var row = first; row < last; row++) {
        let v = x_int(row * p.quads + quad);
        let square = bitcast<vec4<u32>>(v * v);
        sum += v;
        low += square;
        high += select(vec4<u32>(), vec4<u32>(1u), low < square);
    }
    part_put(chunk * 3u * p.quads + quad, bitcast<vec4<u32>>(sum));
    part_put((chunk * 3u + 1u) * p.quads + quad, low);
    part_put((chunk * 3u + 2u) * p.quads + quad, high);
    //: else
    // Floats: the mean, then the squared deviations from it, and what rounding left of the mean.
    var total = vec4<f32>();
    for (var row = first; row < last; row++) { total += x_at(row * p.quads + quad); }
    let mean = total / f32(last - first);
    var sum = vec4<f32>();
    var squares = vec4<f32>();
    for (var row = first; row < last; row++) {
        let d = x_at(row * p.quads + quad) - mean;
        sum += d;
        squares += d * d;
    }
    let rest = sum / f32(last - first);
    part_put(chunk * 2u * p.quads + quad, mean + rest);
    part_put((chunk * 2u + 1u) * p.quads + quad, squares - sum * rest);
    //: end
}
