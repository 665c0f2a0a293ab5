// What the message omits: x minus the number that it holds.
fn at(i: u32) {
    let x = x_at(i);
    let counted = select(x, vec4<f32>(), magnitude(x) == vec4<u32>());
    let rest = counted - decoded((i / 64u) * BLOCK_WORDS, i & 63u);
    residual_put(i, select(vec4<f32>(), rest, kept(i)));
}
