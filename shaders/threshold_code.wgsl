// Number of thresholds of its channel that a sum reaches; the first row of limits is the sign of the
// comparison.
fn code_of(x: vec4<f32>, quad: u32) -> vec4<u32> {
    let value = x * limits_at(quad);
    var code = vec4<u32>();
    for (var t = 1u; t <= THRESHOLDS; t++) {
        code += select(vec4<u32>(), vec4<u32>(1u), value >= limits_at(t * p.quads + quad));
    }
    return code;
}
