fn at(i: u32) { clipped_put(i, dw_at(i) * scale_at(0u).x); }
