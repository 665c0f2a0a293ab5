// One word of the padded signs: ones in the padding.
fn at(i: u32) {
    let row = i / p.row;
    let word = i - row * p.row;
    let line = row / p.padded_w;
    let image = line / p.padded_h;
    let down = line - image * p.padded_h - p.rim_h; // above the input it wraps around, beyond h
    let right = row - line * p.padded_w - p.rim_w;
    if (down < p.h && right < p.w) {
        y[i] = x[((image * p.h + down) * p.w + right) * p.row + word];
    } else {
        y[i] = select(0xffffffffu, TAIL, word + 1u == p.row);
    }
}

