// A streaming copy: in each of STEPS steps per round, the whole grid copies a run of neighbouring
// vec4s, one per invocation, then continues after it, wrapping around at the end of the buffer.
// Workgroups are permuted from step to step, so that in a small buffer none finds its own vec4s in
// a nearby cache. If the buffer is shorter than the grid, several invocations write the same value
// to a vec4.
//
// work: rounds, last index of the buffer (a power of two minus one), start offset. The grid is one
// row of workgroups, a power of two of them.

@main {
    let work = work_at(0u);
    let reach = groups.x * THREADS;
    var begin = work.z;
    var turn = group.x;
    for (var r = 0u; r < work.x; r++) {
        //: for s in STEPS
        let i$s = (begin + $su * reach + ((turn + $su * 5u) & (groups.x - 1u)) * THREADS + thread) & work.y;
        let v$s = x_at(i$s);
        //: end
        //: for s in STEPS
        y_put(i$s, v$s);
        //: end
        begin += STEPS * reach;
        turn += STEPS * 5u;
    }
}
