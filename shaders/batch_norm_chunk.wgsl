// Statistics of the rows of a chunk for one quad of channels. Eight rows are loaded together and
// added sequentially.

//: if EXACT
struct Chunk { sum: vec4<i32>, low: vec4<u32>, high: vec4<u32> }
//: else
struct Chunk { mean: vec4<f32>, deviation: vec4<f32> }
//: end

fn chunk_of(quad: u32, first: u32) -> Chunk {
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
    return Chunk(sum, low, high);
    //: else
    // Floats: the mean, then the squared deviations from it, and the rounding error of the mean.
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
    return Chunk(mean + rest, squares - sum * rest);
    //: end
}
