// The sum over messages, in their order.
fn at(i: u32) {
    let block = (i / 64u) * BLOCK_WORDS;
    var sum = vec4<f32>();
    for (var message = 0u; message < p.messages; message++) {
        sum += decoded(message * p.message_words + block, i & 63u);
    }
    y_put(i, select(vec4<f32>(), sum, kept(i)));
}
