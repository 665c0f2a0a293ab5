//: if INTEGERS
fn at(i: u32) { y_put_int(i, x_int(i)); }
//: else
fn at(i: u32) { y_put(i, x_at(i)); }
//: end
