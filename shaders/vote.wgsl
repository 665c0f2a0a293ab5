fn at(i: u32) {
    vote_put(i, select(vec4<f32>(-1.0), vec4<f32>(1.0), flips(w_at(i), momentum_at(i))));
}
