//! The command `halfwave`.
fn main() {}
