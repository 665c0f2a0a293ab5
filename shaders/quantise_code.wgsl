// Number of thresholds below x; with AT_LEAST, the number of thresholds that x reaches.
fn code_of(x: vec4<f32>, _quad: u32) -> vec4<u32> {
    //: if SCALED
    let scale = scale_at(0u).x;
    //: else
    let scale = 1.0;
    //: end
    var code = vec4<u32>();
    //: for i in THRESHOLDS
    //: if AT_LEAST
    code += select(vec4<u32>(), vec4<u32>(1u), x >= vec4<f32>(p.t$i * scale));
    //: else
    code += select(vec4<u32>(), vec4<u32>(1u), x > vec4<f32>(p.t$i * scale));
    //: end
    //: end
    return code;
}
