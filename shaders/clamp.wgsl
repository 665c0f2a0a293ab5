fn at(i: u32) { w_put(i, clamp(w_at(i), vec4<f32>(-1.0), vec4<f32>(1.0))); }
