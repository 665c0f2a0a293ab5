fn at(i: u32) { y_put(i, a_at(i) + b_at(i)); }
