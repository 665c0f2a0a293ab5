//! Bit operations on the host: reading and writing the code of one channel in a row of bit planes,
//! and a hash of bytes.
//!
//! A row of `Planes(b)` is b runs of `plane_words` words; [`crate::tensor`] defines the layout.

/// Channels in a word of bits.
pub const WORD_BITS: usize = 32;

/// The hash of an empty sequence.
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo): extends `hash` by more bytes.
pub fn fnv_1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Returns the code of channel `c` in one row of planes; 0 in the tail.
pub fn code(row: &[u32], plane_words: usize, c: usize) -> u32 {
    let (word, bit) = (c / WORD_BITS, c % WORD_BITS);
    row.chunks_exact(plane_words).enumerate().map(|(p, plane)| (plane[word] >> bit & 1) << p).sum()
}

/// Writes a code into one row of planes, whose bits at `c` must be zero.
pub fn set_code(row: &mut [u32], plane_words: usize, bits: u8, c: usize, code: u32) {
    debug_assert!(code >> bits == 0, "code {code} has more than {bits} bits");
    let (word, bit) = (c / WORD_BITS, c % WORD_BITS);
    for (p, plane) in row.chunks_exact_mut(plane_words).enumerate() {
        plane[word] |= (code >> p & 1) << bit;
    }
}

/// Expands the codes of one row into a float buffer.
#[inline(always)]
pub fn spread_codes(row: &[u32], plane_words: usize, out: &mut [f32]) {
    out.fill(0.0);
    for (p, plane) in row.chunks_exact(plane_words).enumerate() {
        let weight = (1u32 << p) as f32;
        for (out, &word) in out.chunks_mut(WORD_BITS).zip(plane) {
            for (bit, out) in out.iter_mut().enumerate() {
                *out += weight * (word >> bit & 1) as f32;
            }
        }
    }
}
