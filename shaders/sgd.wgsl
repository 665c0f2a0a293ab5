fn at(i: u32) { w_put(i, w_at(i) - velocity_at(i) * (rates_at(0u).x * p.lr_scale)); }
