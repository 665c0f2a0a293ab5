// Packed dot product + add in registers: CHAINS independent sums, and STEPS steps of each per
// round. Each sum is an operand of its next step, so that no step can be optimised away.
//
// work: rounds, workgroups that store, a value that the result almost never has, -; four signed
// bytes.

@main {
    let work = work_at(0u);
    // A variable, not a constant: naga's MSL output declares its bytes once per use, and a
    // constant's name would be declared twice.
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
