// dw[tap, c, k] = sum over output rows of x[source(row, tap), c] * dy[row, k]; one invocation
// computes 4 CQ channels x 4 KQ filters of one tap over one part of the segments. A line, a row of
// pixels, is split into segments of SEGMENT pixels. Parts are consecutive in `part`.
//
// A chunk is as many segments as fit in CHUNK pixels.

@main {
    let c_blocks = (p.in_quads + CQ - 1u) / CQ;
    let k_blocks = (p.out_quads + KQ - 1u) / KQ;
    var item = group_index(group, groups) * THREADS + thread;
    let k_block = item % k_blocks;
    item /= k_blocks;
    let c_block = item % c_blocks;
    item /= c_blocks;
    let taps = u32(p.kernel_h * p.kernel_w);
    let tap = item % taps;
    let part_index = item / taps;
    if (part_index >= p.parts) { return; }
    let r = i32(tap) / p.kernel_w;
    let s = i32(tap) - r * p.kernel_w;
    //: for c in CQ
    let c$c = min(c_block * CQ + $cu, p.in_quads - 1u);
    //: end
    //: for k in KQ
    let k$k = min(k_block * KQ + $ku, p.out_quads - 1u);
    //: end
    //: for c in CQ
    //: for k in KQ
    //: for j in 4
    var total$c_$k_$j = vec4<f32>();
    var sum$c_$k_$j = vec4<f32>();
    //: end
    //: end
    //: end

    // The outputs whose source column is inside the input.
    let offset = s * p.dilation_w - p.pad_w;
    let x_first = (max(-offset, 0) + p.stride_w - 1) / p.stride_w;
    let x_last = min((max(p.in_w - offset, 0) + p.stride_w - 1) / p.stride_w, p.out_w);
    let of_line = (p.out_w + i32(SEGMENT) - 1) / i32(SEGMENT);
    let segments = i32(p.images) * p.out_h * of_line;
    let of_part = (segments + i32(p.parts) - 1) / i32(p.parts);
    let last = min(i32(part_index + 1u) * of_part, segments);
    var terms = 0;
    for (var segment = i32(part_index) * of_part; segment < last; segment++) {
        let line = segment / of_line;
        let start = (segment - line * of_line) * i32(SEGMENT);
        let from_x = max(start, x_first);
        let stop_x = min(start + i32(SEGMENT), x_last);
        let image = line / p.out_h;
        let y = (line - image * p.out_h) * p.stride_h + r * p.dilation_h - p.pad_h;
        if (y >= 0 && y < p.in_h) {
            var x_row = u32((image * p.in_h + y) * p.in_w + from_x * p.stride_w + offset);
            var dy_row = u32(line * p.out_w + from_x);
            for (var x = from_x; x < stop_x; x++) {
                //: for k in KQ
                let d$k = dy_at(dy_row * p.out_quads + k$k);
                //: end
                //: for c in CQ
                let a$c = x_of(x_raw(x_row, c$c), c$c);
                //: for k in KQ
                sum$c_$k_0 += a$c.x * d$k;
                sum$c_$k_1 += a$c.y * d$k;
                sum$c_$k_2 += a$c.z * d$k;
                sum$c_$k_3 += a$c.w * d$k;
                //: end
                //: end
                x_row += u32(p.stride_w);
                dy_row++;
            }
            terms += max(stop_x - from_x, 0);
            if (terms > i32(CHUNK - SEGMENT)) {
                terms = 0;
                //: for c in CQ
                //: for k in KQ
                //: for j in 4
                total$c_$k_$j += sum$c_$k_$j;
                sum$c_$k_$j = vec4<f32>();
                //: end
                //: end
                //: end
            }
        }
    }
    let base = (part_index * taps + tap) * p.in_quads * 4u;
    //: for c in CQ
    if (c_block * CQ + $cu < p.in_quads) {
        //: for k in KQ
        if (k_block * KQ + $ku < p.out_quads) {
            //: for j in 4
            part_put((base + c$c * 4u + $ju) * p.out_quads + k$k, scale() * (total$c_$k_$j + sum$c_$k_$j));
            //: end
        }
        //: end
    }
    //: end
}
