// Updates one row of both tables: see src/halves.rs.
fn exponent(bits: u32) -> i32 { return i32(bits >> 23u) - 127; }
fn power(exponent: i32) -> f32 { return bitcast<f32>(u32(exponent + 127) << 23u); }

fn at(i: u32) {
    let seen = noted_at(i);
    //: if SCALE
    let row = scale_at(i);
    var next = vec4<f32>(row.xy, row.z + f32(seen.y), 0.0);
    if (seen.x != 0u) {
        let next_exponent = clamp(exponent(bitcast<u32>(row.x)) + 11 - exponent(seen.x), -100, 100);
        next = vec4<f32>(power(next_exponent), power(-next_exponent), next.z, bitcast<f32>(seen.x) * row.y);
    }
    scale_put(i, next);
    //: end
    //: if CLEAR
    noted_put(i, vec4<u32>(0u, 0u, seen.y, 0u));
    //: end
}
