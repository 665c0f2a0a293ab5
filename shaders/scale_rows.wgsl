fn at(i: u32) { y_put(i, x_at(i) * k_at(i / ROW_QUADS).x); }
