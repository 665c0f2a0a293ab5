// Reads of workgroup memory: neighbours read neighbouring vec4s, STEPS × 4 of them per round, at an
// advancing offset.
//
// work: rounds, workgroups that store, a value that the result never has.

var<workgroup> tile: array<vec4<f32>, TILE>;

@main {
    let work = work_at(0u);
    for (var i = thread; i < TILE; i += THREADS) {
        tile[i] = x_at(i);
    }
    workgroupBarrier();
    //: for c in 4
    var s$c = vec4<f32>();
    //: end
    var at = thread;
    for (var r = 0u; r < work.x; r++) {
        //: for s in STEPS
        //: for c in 4
        s$c += tile[at + $su * 128u + $cu * 32u];
        //: end
        //: end
        at = (at + 1u) & (THREADS - 1u);
    }
    let total = (s0 + s1) + (s2 + s3);
    if (group.x < work.y || total.x == bitcast<f32>(work.z)) {
        y_put(thread, total);
    }
}
