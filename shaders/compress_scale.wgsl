// The scale of one block, in lane 0; one invocation per block.
fn at(i: u32) {
    let first = i * 64u;
    let last = min(first + 64u, p.x_quads);
    var most = vec4<u32>();
    for (var quad = first; quad < last; quad++) { most = max(most, magnitude(x_at(quad))); }
    let largest = max(max(most.x, most.y), max(most.z, most.w));
    let exponent = largest >> 23u;
    //: if HALF
    var scale = (exponent - 14u) << 23u;
    //: end
    //: if BYTE
    // The exponent is one more above 127·2^e.
    var scale = (((largest + 0x1ffffu) >> 23u) - 6u) << 23u;
    //: end
    //: if SIGN
    // In units of 2^-23 of the largest number's power of two, 256 numbers are less than 2^32.
    var sums = vec4<u32>();
    for (var quad = first; quad < last; quad++) {
        let size = magnitude(x_at(quad));
        sums += significand(size) >> min(vec4<u32>(exponent) - (size >> vec4<u32>(23u)), vec4<u32>(31u));
    }
    let mean = (sums.x + sums.y + sums.z + sums.w) / (4u * (last - first));
    var scale = bitcast<u32>(f32(mean) * bitcast<f32>((exponent - 23u) << 23u));
    //: end
    if (largest == 0u) { scale = 0u; }
    scale_put(i, vec4<u32>(scale, 0u, 0u, 0u));
}
