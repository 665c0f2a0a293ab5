// A number of the half of the tensor that the quad i lies in.

fn of_half(first: f32, second: f32, i: u32) -> f32 { return select(first, second, 2u * i >= p.quads); }
