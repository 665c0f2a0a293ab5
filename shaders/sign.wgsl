// Packs the signs of 32 input channels of four filters into four words; sign(0) = +1.

fn pack(item: u32) {
    let column = item % p.quads;
    let tap_word = item / p.quads;
    if (tap_word >= p.taps * p.words) { return; }
    let tap = tap_word / p.words;
    let first = (tap_word - tap * p.words) * 32u;
    let last = min(first + 32u, p.channels) - 1u;
    let from_row = tap * p.tap_rows;
    var bits = vec4<u32>();
    // Eight channels are loaded together; the last one may be loaded more than once.
    for (var c = first; c <= last; c += 8u) {
        //: for i in 8
        let c$i = min(c + $iu, last);
        let w$i = w_at((from_row + c$i) * p.quads + column);
        //: end
        //: for i in 8
        bits |= select(vec4<u32>(), vec4<u32>(1u << (c$i - first)), w$i >= vec4<f32>());
        //: end
    }
    let filter_index = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    signs_put(item, select(vec4<u32>(), bits, filter_index < vec4<u32>(p.filters)));
    //: if CONSTANT
    if (item < p.quads) { at(item); }
    //: end
}

//: if ALONE
@main { pack(group_index(group, groups) * THREADS + thread); }
//: else
fn beside(i: u32) { pack(i); }
//: end
