fn at(i: u32) {
    let w = w_at(i);
    let vote = select(vec4<f32>(-1.0), vec4<f32>(1.0), flips(w, momentum_at(i)));
    vote_put(i, select(vote, vec4<f32>(), w == vec4<f32>()));
}
