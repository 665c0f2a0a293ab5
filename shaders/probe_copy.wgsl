// A streaming copy: in each of STEPS steps a round, the whole grid moves a run of neighbouring vec4s, one each, then goes on behind it; at the buffer's end it begins
// again. Groups change places from step to step, so that in a small buffer none finds its own vec4s in a cache next to it. Where the buffer is shorter than
// the grid, several invocations write a vec4, all the same value.
//
// work: rounds, last index of the buffer (a power of two less one), where to begin. The grid is one row of groups, a power of two of them.

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
