// The coefficients of the bases from the number and the sum of the weights in each bin: half the
// step from each level to the next.

@main {
    if (group_index(group, groups) * THREADS + thread > 0u) { return; }
    var number: array<f32, BINS>;
    var level: array<f32, BINS>;
    for (var bin = 0u; bin < p.bins; bin++) {
        number[bin] = total(2u * bin);
        level[bin] = total(2u * bin + 1u);
    }
    let last = p.bins - 1u;
    // The levels of the two outer bins differ only in sign.
    let top = (level[last] - level[0]) / max(number[0] + number[last], 1.0);
    var before = 0u; // the last bin whose level is known
    level[0] = -top;
    for (var bin = 1u; bin <= last; bin++) {
        if (number[bin] > 0.0 || bin == last) {
            level[bin] = select(level[bin] / max(number[bin], 1.0), top, bin == last);
            for (var empty = before + 1u; empty < bin; empty++) {
                let share = f32(empty - before) / f32(bin - before);
                level[empty] = level[before] + share * (level[bin] - level[before]);
            }
            before = bin;
        }
    }
    for (var base = 0u; base < last; base++) {
        bases_put(base, vec4<f32>(0.5 * (level[base + 1u] - level[base]), 0.0, 0.0, 0.0));
    }
}
