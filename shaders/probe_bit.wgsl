// And + popcount + add in registers: CHAINS sums of four lanes that do not wait for each other, and STEPS steps of each a round. Each sum is an
// operand of its next step, so that no step can be left out.
//
// work: rounds, groups that store, what the result hardly ever is.

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
