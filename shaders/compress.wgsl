// One quad of a message, whose blocks are a scale, except those of votes, and words of payload. The op's body declares
// `fn payload(block, place, scale) -> u32`: the word at that place in the payload of a block.
fn word(i: u32) -> u32 {
    let block = i / BLOCK_WORDS;
    let place = i - block * BLOCK_WORDS;
    if (block >= p.blocks) { return 0u; }
    //: if VOTE
    return payload(block, place, 0u);
    //: else
    let scale = scale_at(block).x;
    if (place == 0u || scale == 0u) { return scale; }
    return payload(block, place - 1u, scale);
    //: end
}

fn at(i: u32) {
    var words = vec4<u32>();
    for (var lane = 0u; lane < 4u; lane++) { words[lane] = word(4u * i + lane); }
    message_put(i, words);
}
