// The largest code under each window, 32 channels at a time: codes are compared bit by bit, from the highest plane down.

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
    for (var r = 0; r < p.kernel_h; r++) {
        for (var s = 0; s < p.kernel_w; s++) {
            let from_row = source(at, r, s);
            if (from_row >= 0) {
                // Rising through the planes, a higher plane overrules what the lower ones said.
                var greater = 0u;
                //: for b in BITS
                let a$b = x[(u32(from_row) * BITS + $bu) * words + word];
                greater = (a$b & ~best$b) | (greater & ~(a$b ^ best$b));
                //: end
                //: for b in BITS
                best$b = (a$b & greater) | (best$b & ~greater);
                //: end
            }
        }
    }
    //: for b in BITS
    y[(row * BITS + $bu) * words + word] = best$b;
    //: end
}
