fn at(i: u32) { history_put(step_at(0u).x % CAPACITY * p.quads + i, value_at(i)); }
