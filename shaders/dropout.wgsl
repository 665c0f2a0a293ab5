fn at(i: u32) {
    let kept = fraction(random_quad(i, p.stream)) >= vec4<f32>(p.rate);
    y_put(i, select(vec4<f32>(), x_at(i) * p.scale, kept));
}
