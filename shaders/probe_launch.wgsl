// Almost no work, so that the time measured is that of the launch.
//
// work: 0.

@main {
    if (work_at(0u).x > thread) {
        y_put(thread, vec4<u32>(thread));
    }
}
