// Plain WGSL instead of the matrices of coop_tile.wgsl, to test sizes that no software driver
// supports: each lane computes a share of the sums.

const PER_LANE = SIZE * SIZE / SUBGROUP;
var<private> sums: array<f32, FM * FN * PER_LANE>;

fn half_of_a(part: u32, row: u32, depth: u32) -> f32 {
    //: if A_BY_ROW
    return f32(tile_a[part * A_QUADS + place_a(row, depth)][depth % 4u]);
    //: else
    return f32(tile_a[part * A_QUADS + place_a(row, depth)][row % 4u]);
    //: end
}
fn half_of_b(part: u32, column: u32, depth: u32) -> f32 {
    //: if B_BY_COLUMN
    return f32(tile_b[part * B_QUADS + place_b(column, depth)][depth % 4u]);
    //: else
    return f32(tile_b[part * B_QUADS + place_b(column, depth)][column % 4u]);
    //: end
}

// Computes what the matrices of a subgroup would compute in a step.
fn multiply(lane: u32, first_row: u32, first_column: u32) {
    for (var i = 0u; i < FM * FN * PER_LANE; i++) {
        let matrix = i / PER_LANE;
        let at = i % PER_LANE * SUBGROUP + lane;
        let row = first_row + matrix / FN * SIZE + at / SIZE;
        let column = first_column + matrix % FN * SIZE + at % SIZE;
        for (var depth = 0u; depth < DEPTH; depth++) {
            //: if A_CUT
            sums[i] += half_of_a(1u, row, depth) * half_of_b(0u, column, depth);
            //: end
            //: if B_CUT
            sums[i] += half_of_a(0u, row, depth) * half_of_b(1u, column, depth);
            //: end
            sums[i] += half_of_a(0u, row, depth) * half_of_b(0u, column, depth);
        }
    }
}
