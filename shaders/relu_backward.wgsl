fn at(i: u32) { dx_put(i, select(vec4<f32>(), dy_at(i), y_at(i) > vec4<f32>())); }
