// The running sum of an invocation: sum_start, sum_term for each term, sum_result. CHUNKED: chunks
// of SUM_CHUNK terms, whose sums are added in pairs: neighbours, then neighbouring pairs, and so
// on. `pairs` holds the values without a partner, one for each bit of the number of chunks. See
// src/ops/sum.rs.

var<private> running: vec4<f32>;
//: if CHUNKED
var<private> terms: u32;
var<private> pairs: array<vec4<f32>, 32>;

fn pair_up() {
    var sum = running;
    var level = 0u;
    for (var bits = terms / SUM_CHUNK - 1u; (bits & 1u) == 1u; bits >>= 1u) {
        sum = pairs[level] + sum;
        level++;
    }
    pairs[level] = sum;
    running = vec4<f32>();
}
//: end

fn sum_start() {
    running = vec4<f32>();
    //: if CHUNKED
    terms = 0u;
    //: end
}

fn sum_term(term: vec4<f32>) {
    running += term;
    //: if CHUNKED
    terms++;
    if (terms % SUM_CHUNK == 0u) { pair_up(); }
    //: end
}

fn sum_result() -> vec4<f32> {
    //: if CHUNKED
    var level = 0u;
    for (var bits = terms / SUM_CHUNK; bits > 0u; bits >>= 1u) {
        if ((bits & 1u) == 1u) { running = pairs[level] + running; }
        level++;
    }
    //: end
    return running;
}
