// Common part of the kernels of the packed convolution.

// Filters beyond the last one exist only as padding lanes: they stay zero.
fn keep_filters(v: vec4<i32>, column: u32) -> vec4<i32> {
    let filter_index = vec4<u32>(column * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<i32>(), v, filter_index < vec4<u32>(FILTERS));
}

// The sum of the values of a term's planes over the window, from bit counts. `both`: for codes, the
// bits set in code and sign; for signs, the bits that differ. `all`: for codes, the bits set in the
// code; for signs, all bits inside the input.
fn signed_sum(both: vec4<u32>, all: u32) -> vec4<i32> {
    let top = vec4<i32>(i32(all * ((1u << W_PLANES) - 1u)));
    //: if SIGNED
    return top - 2 * bitcast<vec4<i32>>(both);
    //: else
    return 2 * bitcast<vec4<i32>>(both) - top;
    //: end
}

//: if LEVELS
// [code >= level] of 32 channels, from the planes of their codes, least significant first.
fn at_least(first: u32, level: u32) -> u32 {
    var reached = 0xffffffffu;
    //: for b in BITS
    let bits$b = x[first + $bu * WORDS];
    reached = select(bits$b | reached, bits$b & reached, ((level >> $bu) & 1u) == 1u);
    //: end
    return reached;
}

// A chain of selects: with nested branches, drivers that follow every path take very long on as
// many consecutive ones as there are filters.
fn level_step(i: u32) -> f32 {
    var step = 0.0;
    //: for i in LEVELS
    step = select(step, bitcast<f32>(LEVEL_STEP_$i), i == $iu);
    //: end
    return step;
}
//: end

//: if COMBINED
// The coefficient of the integers of a term, for a quad of filters.
fn coefficient(term: u32, column: u32) -> vec4<f32> {
    let alpha = alpha_at((term % BASES) * p.out_quads + column);
    //: if LEVELS
    return alpha * level_step(term / BASES);
    //: else
    return alpha;
    //: end
}

// The factor common to all terms.
fn shared_scale() -> f32 {
    //: if SCALED
    return bitcast<f32>(STEP_BITS) * factor_at(0u).x;
    //: else
    return bitcast<f32>(STEP_BITS);
    //: end
}
//: end
