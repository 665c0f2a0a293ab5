fn at(i: u32) { scale_put(i, vec4<f32>(min(p.max_norm / (sqrt(total_at(i).x) + 1e-6), 1.0), 0.0, 0.0, 0.0)); }
