// The tap of the first largest value in each window, two bits per channel, 32 channels at a time;
// with VALUES, also the largest values. Windows have no padding. RECTIFIED: of x after a batch-norm
// and a rectifier.

fn nibble(bits: vec4<u32>) -> u32 { return bits.x | (bits.y << 1u) | (bits.z << 2u) | (bits.w << 3u); }

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let words = (p.in_quads + 7u) / 8u;
    let row = item / words;
    let word = item - row * words;
    if (row >= row_count()) { return; }
    let at = locate(row);
    //: for t in TAPS
    let from$t = u32(source(at, $t / p.kernel_w, $t % p.kernel_w)) * p.in_quads;
    //: end
    var low = 0u;
    var high = 0u;
    let first = word * 8u;
    for (var quad = first; quad < min(first + 8u, p.in_quads); quad++) {
        //: if RECTIFIED
        x_prepare(quad);
        //: end
        var best = vec4<f32>(-3.4e38);
        var tap = vec4<u32>();
        //: for t in TAPS
        //: if RECTIFIED
        let value$t = max(x_at(from$t + quad), vec4<f32>());
        //: else
        let value$t = x_at(from$t + quad);
        //: end
        tap = select(tap, vec4<u32>($tu), value$t > best);
        best = max(best, value$t);
        //: end
        //: if VALUES
        //: if EXACT
        y_put_int(row * p.in_quads + quad, vec4<i32>(best));
        //: else
        y_put(row * p.in_quads + quad, best);
        //: end
        //: end
        let channel = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        tap = select(vec4<u32>(), tap, channel < vec4<u32>(CHANNELS));
        let shift = (quad - first) * 4u;
        low |= nibble(tap & vec4<u32>(1u)) << shift;
        high |= nibble(tap >> vec4<u32>(1u)) << shift;
    }
    argmax[row * 2u * words + word] = low;
    argmax[(row * 2u + 1u) * words + word] = high;
}
