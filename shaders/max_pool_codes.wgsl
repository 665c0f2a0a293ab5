// The largest code in each window, 32 channels at a time: codes are compared bit by bit. ARGMAX:
// the tap of its first occurrence, two bits per channel.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let words = (p.in_quads + 7u) / 8u;
    let row = item / words;
    let word = item - row * words;
    if (row >= row_count()) { return; }
    let at = locate(row);
    //: for b in BITS
    var best$b = 0u;
    //: end
    //: if ARGMAX
    var low = 0u;
    var high = 0u;
    //: end
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let from_row = source(at, r, s);
            if (from_row >= 0) {
                // In ascending order of planes: a higher plane overrides the result of the lower
                // ones.
                var greater = 0u;
                //: for b in BITS
                let a$b = x[(u32(from_row) * BITS + $bu) * words + word];
                greater = (a$b & ~best$b) | (greater & ~(a$b ^ best$b));
                //: end
                //: for b in BITS
                best$b = (a$b & greater) | (best$b & ~greater);
                //: end
                //: if ARGMAX
                // Windows have no padding: if nothing is greater than 0, the first tap remains.
                let tap = u32(r * p.kernel_w + s);
                low = select(low & ~greater, low | greater, (tap & 1u) == 1u);
                high = select(high & ~greater, high | greater, (tap & 2u) == 2u);
                //: end
            }
        }
    }
    //: if VALUES
    //: for b in BITS
    y[(row * BITS + $bu) * words + word] = best$b;
    //: end
    //: end
    //: if ARGMAX
    argmax[row * 2u * words + word] = low;
    argmax[(row * 2u + 1u) * words + word] = high;
    //: end
}
