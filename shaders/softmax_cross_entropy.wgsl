// One invocation per row: the largest logit, then the sum of exponentials, then the loss (or the
// gradient).

@main {
    let row = group_index(group, groups) * THREADS + thread;
    if (row >= p.rows) { return; }
    let label = labels_at(row / 4u)[row % 4u];
    var largest = -3.4e38;
    var winner = 0u;
    for (var c = 0u; c < CLASSES; c++) {
        let v = x_at(row * p.quads + c / 4u)[c % 4u];
        if (v > largest) {
            largest = v;
            winner = c;
        }
    }
    sum_start();
    for (var c = 0u; c < CLASSES; c++) {
        let d = x_at(row * p.quads + c / 4u)[c % 4u] - largest;
        sum_term(vec4<f32>(exp(d), d, 0.0, 0.0));
    }
    let sums = sum_result();
    //: if BACKWARD
    for (var quad = 0u; quad < p.quads; quad++) {
        let class_index = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let share = exp(x_at(row * p.quads + quad) - largest) / sums.x;
        let wanted = select(vec4<f32>(p.miss), vec4<f32>(p.hit + p.miss), class_index == vec4<u32>(label));
        let d = (share - wanted) * p.scale;
        dx_put(row * p.quads + quad, select(vec4<f32>(), d, class_index < vec4<u32>(CLASSES)));
    }
    //: else
    let logit = x_at(row * p.quads + label / 4u)[label % 4u];
    let correct = select(0.0, 1.0, winner == label);
    loss_put(row, vec4<f32>(log(sums.x) - p.hit * (logit - largest) - p.miss * sums.y, correct, 0.0, 0.0));
    //: end
}
