fn at(i: u32) {
    let w = w_at(i);
    w_put(i, select(w, -w, votes_at(i) > vec4<f32>()));
}
