fn at(i: u32) { w_put(i, w_at(i) - velocity_at(i) * lr_at(0u).x); }
