fn prepare(quad: u32) { x_prepare(quad); }
fn at(i: u32, quad: u32) { y_put(i, x_at(i)); }
