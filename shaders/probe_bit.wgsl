// AND + popcount + add in registers: CHAINS independent sums of four lanes, and STEPS steps of each
// per round. Each sum is an operand of its next step, so that no step can be optimised away.
//
// work: rounds, workgroups that store, a value that the result almost never has.

@main {
    let work = work_at(0u);
    let w = x_at(thread);
    //: for c in CHAINS
    var s$c = w ^ vec4<u32>($cu);
    //: end
    for (var r = 0u; r < work.x; r++) {
        //: for s in STEPS
        //: for c in CHAINS
        s$c += countOneBits(s$c & w);
        //: end
        //: end
    }
    var total = vec4<u32>();
    //: for c in CHAINS
    total += s$c;
    //: end
    if (group.x < work.y || total.x == work.z) {
        y_put(thread, total);
    }
}
