fn prepare(quad: u32) { norm_prepare(quad); }
fn at(i: u32, quad: u32) { y_put(i, normalise(x_at(i))); }
