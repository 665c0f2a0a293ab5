// Multiply-adds in registers, in f32 or f16: CHAINS independent sums of four lanes, and STEPS
// multiply-adds of each per round.
//
// work: rounds, workgroups that store, a value that the result never has (so the others do not
// store, which the compiler cannot infer), -; factor, summand.

//: if HALF
alias real = f16;
//: else
alias real = f32;
//: end

@main {
    let work = work_at(0u);
    let operands = bitcast<vec4<f32>>(work_at(1u));
    let a = vec4<real>(real(operands.x));
    let b = vec4<real>(real(operands.y));
    let x = vec4<real>(x_at(thread));
    //: for c in CHAINS
    var s$c = x + vec4<real>(real($c.0));
    //: end
    for (var r = 0u; r < work.x; r++) {
        //: for s in STEPS
        //: for c in CHAINS
        s$c = fma(s$c, a, b);
        //: end
        //: end
    }
    var total = vec4<real>();
    //: for c in CHAINS
    total += s$c;
    //: end
    let stored = vec4<f32>(total);
    if (group.x < work.y || stored.x == bitcast<f32>(work.z)) {
        y_put(thread, stored);
    }
}
