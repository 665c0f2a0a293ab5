// Quantises and packs: one invocation computes one word of every plane for ROWS rows.

@main {
    let item = group_index(group, groups) * THREADS + thread;
    let words = (p.quads + 7u) / 8u;
    let block = item / words;
    let word = item - block * words;
    let first = block * ROWS;
    if (first >= p.rows) { return; }
    //: for m in ROWS
    //: for b in BITS
    var plane$m_$b = 0u;
    //: end
    //: end
    let last_quad = min(word * 8u + 8u, p.quads);
    for (var quad = word * 8u; quad < last_quad; quad++) {
        x_prepare(quad);
        let shift = vec4<u32>((quad % 8u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        //: for m in ROWS
        {
            let z = x_at(min(first + $mu, p.rows - 1u) * p.quads + quad);
            let code = code_of(z, quad);
            //: for b in BITS
            let bit$b = ((code >> vec4<u32>($bu)) & vec4<u32>(1u)) << shift;
            plane$m_$b |= bit$b.x | bit$b.y | bit$b.z | bit$b.w;
            //: end
        }
        //: end
    }
    //: if AT_LEAST
    // Padding channels are 0 too, which may reach a threshold.
    let channels = select(0xffffffffu, TAIL, word == words - 1u);
    //: else
    let channels = 0xffffffffu;
    //: end
    //: for m in ROWS
    if (first + $mu < p.rows) {
        //: for b in BITS
        y[((first + $mu) * BITS + $bu) * words + word] = plane$m_$b & channels;
        //: end
    }
    //: end
}
