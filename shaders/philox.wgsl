// Philox4x32-10: the random words of one quad of a tensor. `random` holds [seed low, seed high,
// step low, step high]; the counter is the quad, the stream and the step. Lane l of the quad gets
// word l. For a micro-batch there is a fifth number: the number of images of the step before it, so
// that an image draws the same numbers in any micro-batch.

// The upper half of a 64-bit product, computed from 16-bit halves: no sum exceeds 32 bits.
fn multiply_high(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let middle = a1 * b0 + ((a0 * b0) >> 16u);
    let cross = a0 * b1 + (middle & 0xffffu);
    return a1 * b1 + (middle >> 16u) + (cross >> 16u);
}

fn random_quad(i: u32, stream: u32) -> vec4<u32> {
    let random = random_at(0u);
    var key = random.xy;
    //: if MICRO_BATCH
    var block = vec4<u32>(i + random_at(1u).x * IMAGE_QUADS, stream, random.zw);
    //: else
    var block = vec4<u32>(i, stream, random.zw);
    //: end
    for (var round = 0u; round < 10u; round++) {
        let a = 0xD2511F53u;
        let b = 0xCD9E8D57u;
        block = vec4<u32>(
            multiply_high(b, block.z) ^ block.y ^ key.x, b * block.z,
            multiply_high(a, block.x) ^ block.w ^ key.y, a * block.x);
        key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return block;
}

// Uniform numbers in [0, 1) with exactly 24 random bits.
fn fraction(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(words >> vec4<u32>(8u)) * (1.0 / 16777216.0); }
