// dw[tap, c, k] = sum over output rows of x[source(row, tap), c] * dy[row, k]; one invocation makes 4 CQ channels x 4 KQ filters of one
// tap over one split of the lines (a line is a row of pixels). Splits lie behind each other in `part`.

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
    let split = item / taps;
    if (split >= SPLITS) { return; }
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
    var sum$c_$k_$j = vec4<f32>();
    //: end
    //: end
    //: end

    // The outputs whose source column lies inside the input.
    let offset = s * p.dilation_w - p.pad_w;
    let x_first = (max(-offset, 0) + p.stride_w - 1) / p.stride_w;
    let x_last = min((max(p.in_w - offset, 0) + p.stride_w - 1) / p.stride_w, p.out_w);
    let lines = i32(p.images) * p.out_h;
    let per_split = (lines + i32(SPLITS) - 1) / i32(SPLITS);
    let first_line = i32(split) * per_split;
    let last_line = min(first_line + per_split, lines);
    for (var line = first_line; line < last_line; line++) {
        let image = line / p.out_h;
        let y = (line - image * p.out_h) * p.stride_h + r * p.dilation_h - p.pad_h;
        if (y >= 0 && y < p.in_h) {
            var x_row = u32((image * p.in_h + y) * p.in_w + x_first * p.stride_w + offset);
            var dy_row = u32(line * p.out_w + x_first);
            for (var x = x_first; x < x_last; x++) {
                //: for k in KQ
                let d$k = dy_at(dy_row * p.out_quads + k$k);
                //: end
                //: for c in CQ
                let a$c = x_quad(x_row, c$c);
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
        }
    }
    let base = (split * taps + tap) * p.in_quads * 4u;
    //: for c in CQ
    if (c_block * CQ + $cu < p.in_quads) {
        //: for k in KQ
        if (k_block * KQ + $ku < p.out_quads) {
            //: for j in 4
            part_put((base + c$c * 4u + $ju) * p.out_quads + k$k, scale() * sum$c_$k_$j);
            //: end
        }
        //: end
    }
    //: end
}
