// dx = m (2 code / steps - 1), code = v rounded stochastically, v = (dy / 2m + 1/2) steps.

fn at(i: u32) {
    let m = largest_at(i / p.sample_quads).x;
    let steps = vec4<f32>(p.steps);
    let v = clamp((dy_at(i) / (2.0 * max(m, 1e-30)) + 0.5) * steps, vec4<f32>(), steps);
    let below = floor(v);
    let up = fraction(random_quad(i, p.stream)) < v - below;
    let code = below + select(vec4<f32>(), vec4<f32>(1.0), up);
    let channel = vec4<u32>(i % p.row_quads * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let held = (channel < vec4<u32>(p.channels)) & vec4<bool>(m > 0.0);
    dx_put(i, select(vec4<f32>(), m * (2.0 * code / steps - 1.0), held));
}
