// out[row, column] = sum over steps and depth of a[row, depth] * b[depth, column], on cooperative
// matrices of SIZE x SIZE; a workgroup computes a tile of ROWS x COLUMNS.
//
// Its subgroups form a grid of DOWN rows and ACROSS columns, each with FM x FN fragments of sums,
// which stay in registers. A step stages DEPTH of both operands as half floats in workgroup memory,
// and the operands of the next step are fetched while this one multiplies. Operands are stored by
// rows (A_BY_ROW, B_BY_COLUMN: the depth is contiguous in memory) or by depth; lines are padded by
// 8 half floats, so that the loads of a fragment use every bank once.
//
// A_FLOATS, B_FLOATS: the operand holds floats. With A_CUT, B_CUT each number is scaled by a power
// of two that brings the largest one between 2^14 and 2^15, and is split into the sum of two half
// floats, which are stored consecutively and both multiplied: the relative error of a number down
// to 2^-17 of the largest is 2^-22, or 2^-21 if the driver truncates; a smaller number has an error
// of 2^-38 of the largest. Floats that a plan stores in half precision (A_STORED, B_STORED) are a
// single half float with the scale under which they are stored; multiplied by a factor (A_RANGED:
// the range searched is that of the factor), they are rounded to one.
//
// Fragments are opaque: their sums pass through workgroup memory to `give`, one fragment per
// subgroup at a time. SHUFFLED: 32 columns have the order 0, 16, 1, 17, ….
//
// The op's texts declare `result_rows()`, `result_columns()`, `step_count()`, `part_steps()` (steps
// of a part), `begin(thread, first_row, first_column)`, `fetch(thread, step)`, `stage(thread)` and
// `give(part, row, quad, v)`. They stage floats and codes with `a_put` and `b_put`.
//
// naga does not treat the result of a function of the workgroup index as uniform, so the index is
// computed inline here.
//
// EMULATED: plain WGSL instead of the matrices (coop_emulated.wgsl).

@main {
    let row_tiles = (result_rows() + ROWS - 1u) / ROWS;
    let tiles = row_tiles * ((result_columns() + COLUMNS - 1u) / COLUMNS);
    let index = group.y * groups.x + group.x;
    let part = index / tiles;
    let steps = step_count();
    let first_step = part * part_steps();
    if (first_step >= steps) { return; } // a folded grid has surplus workgroups
    let last_step = min(first_step + part_steps(), steps) - 1u;
    let tile = index - part * tiles;
    let column_tile = tile / row_tiles;
    let first_row = (tile - column_tile * row_tiles) * ROWS;
    let first_column = column_tile * COLUMNS;

    let subgroup = thread / SUBGROUP;
    let lane = thread % SUBGROUP;
    let my_row = subgroup / ACROSS * (FM * SIZE);
    let my_column = subgroup % ACROSS * (FN * SIZE);
    //: if EMULATED
    //: else
    //: for m in FM
    //: for n in FN
    var c$m_$n = MATRIX<f32, C>();
    //: end
    //: end
    //: end

    //: if RANGED
    // The largest magnitudes of both operands, if searched for, are reduced side by side.
    //: if A_RANGED
    var of_a = vec4<f32>();
    for (var i = thread; i < LARGEST; i += THREADS) { of_a = max(of_a, largest_a_at(i)); }
    tile_out[thread] = max(max(of_a.x, of_a.y), max(of_a.z, of_a.w));
    //: end
    //: if B_RANGED
    var of_b = vec4<f32>();
    for (var i = thread; i < LARGEST; i += THREADS) { of_b = max(of_b, largest_b_at(i)); }
    tile_out[THREADS + thread] = max(max(of_b.x, of_b.y), max(of_b.z, of_b.w));
    //: end
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
        if (thread < half) {
            tile_out[thread] = max(tile_out[thread], tile_out[thread + half]);
            tile_out[THREADS + thread] = max(tile_out[THREADS + thread], tile_out[THREADS + thread + half]);
        }
        workgroupBarrier();
    }
    //: end
    // The powers of two of both operands, if they hold floats.
    //: if A_FLOATS
    //: if A_RANGED
    a_scale = scale_of(tile_out[0]);
    //: else
    a_scale = 1.0;
    //: end
    //: if A_STORED
    //: if A_RANGED
    a_scale *= 0.000030517578125; // 2^-15: the scaled factor is at most 1
    //: end
    a_scale *= STORED_A;
    //: end
    //: end
    //: if B_FLOATS
    //: if B_RANGED
    b_scale = scale_of(tile_out[THREADS]);
    //: else
    b_scale = STORED_B;
    //: end
    //: end
    //: if RANGED
    workgroupBarrier();
    //: end
    begin(thread, first_row, first_column);
    fetch(thread, first_step);
    for (var step = first_step; step <= last_step; step++) {
        stage(thread);
        workgroupBarrier();
        fetch(thread, min(step + 1u, last_step));
        //: if EMULATED
        multiply(lane, my_row, my_column);
        //: else
        //: for d in DEPTHS
        //: for m in FM
        let at_a$d_$m = place_a(my_row + $mu * SIZE, $du * SIZE);
        //: if A_BY_ROW
        let a$d_$m = coopLoadT<MATRIX<f16, A>>(&tile_a[at_a$d_$m], A_STRIDE);
        //: else
        let a$d_$m = coopLoad<MATRIX<f16, A>>(&tile_a[at_a$d_$m], A_STRIDE);
        //: end
        //: if A_CUT
        //: if A_BY_ROW
        let a_extra$d_$m = coopLoadT<MATRIX<f16, A>>(&tile_a[at_a$d_$m + A_QUADS], A_STRIDE);
        //: else
        let a_extra$d_$m = coopLoad<MATRIX<f16, A>>(&tile_a[at_a$d_$m + A_QUADS], A_STRIDE);
        //: end
        //: end
        //: end
        //: for n in FN
        let at_b$d_$n = place_b(my_column + $nu * SIZE, $du * SIZE);
        //: if B_BY_COLUMN
        let b$d_$n = coopLoad<MATRIX<f16, B>>(&tile_b[at_b$d_$n], B_STRIDE);
        //: else
        let b$d_$n = coopLoadT<MATRIX<f16, B>>(&tile_b[at_b$d_$n], B_STRIDE);
        //: end
        //: if B_CUT
        //: if B_BY_COLUMN
        let b_extra$d_$n = coopLoad<MATRIX<f16, B>>(&tile_b[at_b$d_$n + B_QUADS], B_STRIDE);
        //: else
        let b_extra$d_$n = coopLoadT<MATRIX<f16, B>>(&tile_b[at_b$d_$n + B_QUADS], B_STRIDE);
        //: end
        //: end
        //: end
        //: for m in FM
        //: for n in FN
        //: if A_CUT
        c$m_$n = coopMultiplyAdd(a_extra$d_$m, b$d_$n, c$m_$n);
        //: end
        //: if B_CUT
        c$m_$n = coopMultiplyAdd(a$d_$m, b_extra$d_$n, c$m_$n);
        //: end
        c$m_$n = coopMultiplyAdd(a$d_$m, b$d_$n, c$m_$n);
        //: end
        //: end
        //: end
        //: end
        workgroupBarrier();
    }

    let base = subgroup * (SIZE * SIZE);
    //: for m in FM
    //: for n in FN
    //: if EMULATED
    for (var i = 0u; i < PER_LANE; i++) { tile_out[base + i * SUBGROUP + lane] = sums[($mu * FN + $nu) * PER_LANE + i]; }
    //: else
    coopStoreT(c$m_$n, &tile_out[base], SIZE);
    //: end
    workgroupBarrier();
    //: for i in ITEMS
    if (lane + $iu * SUBGROUP < SIZE * SIZE / 4u) {
        let item = lane + $iu * SUBGROUP;
        let row = item / (SIZE / 4u);
        let quad = item % (SIZE / 4u);
        let row_at = base + row * SIZE;
        let column = my_column + $nu * SIZE;
        //: if SHUFFLED
        // Quads of the lower 16 channels of a word, then those of the upper 16.
        let high = quad / (SIZE / 8u);
        let within = quad % (SIZE / 8u);
        let at = row_at + 8u * within + high;
        let v = vec4<f32>(tile_out[at], tile_out[at + 2u], tile_out[at + 4u], tile_out[at + 6u]);
        let to = column / 32u * 8u + high * 4u + column % 32u / 8u + within;
        //: else
        let at = row_at + 4u * quad;
        let v = vec4<f32>(tile_out[at], tile_out[at + 1u], tile_out[at + 2u], tile_out[at + 3u]);
        let to = column / 4u + quad;
        //: end
        give(part, first_row + my_row + $mu * SIZE + row, first_column / 4u + to, v);
    }
    workgroupBarrier();
    //: end
    //: end
    //: end
}
