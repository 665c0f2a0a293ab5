// One invocation per row: the loss, one class at a time, or the gradient, one quad of classes at a
// time.

@main {
    let row = group_index(group, groups) * THREADS + thread;
    if (row >= p.rows) { return; }
    let label = labels_at(row / 4u)[row % 4u];
    //: if BACKWARD
    for (var quad = 0u; quad < p.quads; quad++) {
        let class_index = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let hit = select(vec4<f32>(), vec4<f32>(1.0), class_index == vec4<u32>(label));
        let d = slope(x_at(row * p.quads + quad), hit) * p.scale;
        dx_put(row * p.quads + quad, select(vec4<f32>(), d, class_index < vec4<u32>(CLASSES)));
    }
    //: else
    var largest = x_at(row * p.quads).x;
    var winner = 0u;
    sum_start();
    for (var c = 0u; c < CLASSES; c++) {
        let z = x_at(row * p.quads + c / 4u)[c % 4u];
        if (z > largest) {
            largest = z;
            winner = c;
        }
        sum_term(vec4<f32>(term(z, select(0.0, 1.0, c == label)), 0.0, 0.0, 0.0));
    }
    loss_put(row, vec4<f32>(sum_result().x * p.scale, select(0.0, 1.0, winner == label), 0.0, 0.0));
    //: end
}
