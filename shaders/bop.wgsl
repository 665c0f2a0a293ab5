fn at(i: u32) {
    let w = w_at(i);
    let m = momentum_at(i);
    let against = (m > vec4<f32>()) == (w > vec4<f32>());
    w_put(i, select(w, -w, (abs(m) > vec4<f32>(p.threshold)) & against));
}
