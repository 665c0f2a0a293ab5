fn at(i: u32) { y_put(i, x_at(i) + b_at(i % p.channel_quads)); }
