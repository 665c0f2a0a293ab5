// Packed dot products + add in registers: CHAINS sums that do not wait for each other, and STEPS steps of each a round. Each sum is an operand of its
// next step, so that no step can be left out.
//
// work: rounds, groups that store, what the result hardly ever is, -; four signed bytes.

@main {
    let work = work_at(0u);
    // A variable: naga declares its bytes once for each use in MSL, which a constant's one name would not survive.
    var w = work_at(1u).x;
    let x = bitcast<i32>(x_at(thread).x);
    //: for c in CHAINS
    var s$c = x + $c;
    //: end
    for (var r = 0u; r < work.x; r++) {
        //: for s in STEPS
        //: for c in CHAINS
        s$c += dot4I8Packed(bitcast<u32>(s$c), w);
        //: end
        //: end
    }
    var total = 0;
    //: for c in CHAINS
    total += s$c;
    //: end
    let stored = bitcast<u32>(total);
    if (group.x < work.y || stored == work.z) {
        y_put(thread, vec4<u32>(stored));
    }
}
