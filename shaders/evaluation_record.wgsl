// One invocation per image writes its row: the loss, the first largest logit, the rank of the
// label, the fault word.

@main {
    let image = group_index(group, groups) * THREADS + thread;
    if (image >= p.rows) { return; }
    let label = labels_at(image / 4u)[image % 4u];
    let own = x_at(image * p.quads + label / 4u)[label % 4u];
    var largest = x_at(image * p.quads).x;
    var winner = 0u;
    var rank = 0u;
    for (var c = 0u; c < CLASSES; c++) {
        let z = x_at(image * p.quads + c / 4u)[c % 4u];
        if (z > largest) {
            largest = z;
            winner = c;
        }
        if (z > own || (z == own && c < label)) { rank += 1u; }
    }
    let row = (batch_at(0u).x * p.rows + image) % CAPACITY;
    rows_put(row, vec4<f32>(loss_at(image).x, f32(winner), f32(rank), f32(fault_at(0u).x)));
}
