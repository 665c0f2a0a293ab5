fn at(i: u32) {
    var v = vec4<f32>();
    if (i < VALUE_QUADS) { v = value_at(i); }
    if (i == FAULT / 4u) { v[FAULT % 4u] = f32(fault_at(0u).x); }
    history_put(step_at(0u).x % CAPACITY * p.quads + i, v);
}
