// One quad of the gradient inside the padding.
fn at(i: u32) {
    let row = i / p.row;
    let line = row / p.w;
    let image = line / p.h;
    let y = line - image * p.h + p.rim_h;
    let x = row - line * p.w + p.rim_w;
    dx_put(i, dy_at(((image * p.padded_h + y) * p.padded_w + x) * p.row + i - row * p.row));
}
