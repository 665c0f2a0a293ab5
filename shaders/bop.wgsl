fn at(i: u32) {
    let w = w_at(i);
    w_put(i, select(w, -w, flips(w, momentum_at(i))));
}
