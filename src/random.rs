//! Counter-based random numbers: Philox4x32-10, a function of (seed, stream, counter) without
//! hidden state.
//!
//! Every use of random numbers (the initial values of one tensor, the order of one epoch) has its
//! own stream, identified by name. A layer's initial values therefore depend only on the seed and
//! its name, and a resumed run draws the same numbers as an uninterrupted one.
//!
//! **Invariant:** the same bits on every platform: only integers, correctly rounded f64 arithmetic
//! and `libm` are used, never the system's mathematics library.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011;
//! tested against the known answers published with it (Random123).

use crate::bits::{FNV_START, fnv_1a};

/// Ten rounds of Philox4x32: computes a block of four random words from a counter and a key.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let a = u64::from(c0) * 0xD251_1F53;
        let b = u64::from(c2) * 0xCD9E_8D57;
        (c0, c1, c2, c3) = ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// Returns the number of the stream called `name`: its 64-bit FNV-1a hash.
pub fn stream(name: &str) -> u64 {
    fnv_1a(FNV_START, name.as_bytes())
}

/// Returns the four random words of one quad of a tensor, as kernels compute them
/// (`shaders/philox.wgsl`): lane l gets word l.
///
/// `random` is the step's input [seed low, seed high, step low, step high]; `stream` is the low
/// half of [`stream`]'s number.
pub fn quad(random: &[u32], index: u32, stream: u32) -> [u32; 4] {
    philox4x32([index, stream, random[2], random[3]], [random[0], random[1]])
}

/// Returns the index of a micro-batch's first quad within its step, for images of `image_quads`
/// quads each. After seed and step, `random` holds the number of images before the micro-batch. 0
/// for a whole batch.
pub fn first_quad(random: &[u32], image_quads: usize) -> u32 {
    random.get(4).map_or(0, |images| images.wrapping_mul(image_quads as u32))
}

/// Converts a word to a number in [0, 1) with 24 random bits, exactly.
pub fn fraction(word: u32) -> f32 {
    (word >> 8) as f32 / (1 << 24) as f32
}

/// Sequential reader of one stream, a word at a time.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    stream: u64,
    counter: u64,
    block: [u32; 4],
    used_words: usize,
}

impl Random {
    /// Starts at the beginning of the stream called `name` under `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        Self { seed, stream: stream(name), counter: 0, block: [0; 4], used_words: 4 }
    }

    /// Returns the next 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.used_words == 4 {
            let [c, s, k] = [self.counter, self.stream, self.seed].map(|v| [v as u32, (v >> 32) as u32]);
            self.block = philox4x32([c[0], c[1], s[0], s[1]], k);
            self.counter += 1;
            self.used_words = 0;
        }
        self.used_words += 1;
        self.block[self.used_words - 1]
    }

    /// Returns a uniformly distributed number in `0..bound` (Lemire's multiplication with
    /// rejection).
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "the bound must be above 0");
        let reject_below = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.word()) * u64::from(bound);
            if product as u32 >= reject_below {
                return (product >> 32) as u32;
            }
        }
    }

    /// Returns an f64 in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        let [low, high] = [self.word(), self.word()].map(u64::from);
        ((high << 32 | low) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Returns the order in which epoch `epoch` visits `len` records: a permutation of `0..len`.
pub fn permutation(seed: u64, epoch: u64, len: usize) -> Vec<u32> {
    shuffled(seed, &format!("epoch/{epoch}"), len)
}

/// Returns a permutation of `0..len` (Fisher and Yates); `name` names the stream.
pub fn shuffled(seed: u64, name: &str, len: usize) -> Vec<u32> {
    let len = u32::try_from(len).expect("a data set has fewer than 2^32 records");
    let mut random = Random::new(seed, name);
    let mut order: Vec<u32> = (0..len).collect();
    for last in (1..len).rev() {
        order.swap(last as usize, random.below(last + 1) as usize);
    }
    order
}

/// Returns `len` values uniform in [0, 1), with 24 random bits each; `name` names the stream.
pub fn uniform(seed: u64, name: &str, len: usize) -> Vec<f32> {
    let mut random = Random::new(seed, name);
    (0..len).map(|_| fraction(random.word())).collect()
}

/// Returns `len` values of the standard normal distribution (Box and Muller, computed in f64);
/// `name` names the stream.
pub fn normal(seed: u64, name: &str, len: usize) -> Vec<f32> {
    let mut random = Random::new(seed, name);
    let mut values = Vec::with_capacity(len + 1);
    while values.len() < len {
        // 1 - unit lies in (0, 1], so that the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - random.unit()));
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * random.unit());
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(len);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers_of_random123() {
        let known = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in known {
            assert_eq!(philox4x32(counter, key), answer);
        }
    }

    #[test]
    fn streams_are_fnv_1a() {
        assert_eq!(stream(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stream("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(stream("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_permutation_holds_every_record_once_and_depends_on_seed_and_epoch() {
        let order = permutation(7, 3, 1437);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1437).collect::<Vec<u32>>());
        assert_ne!(order, sorted);
        assert_eq!(order, permutation(7, 3, 1437));
        assert_ne!(order, permutation(8, 3, 1437));
        assert_ne!(order, permutation(7, 4, 1437));
        assert!(permutation(0, 0, 0).is_empty());
        assert_eq!(permutation(0, 0, 1), [0]);
    }

    #[test]
    fn every_permutation_of_three_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(permutation(1, epoch, 3)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // 1000 expected, standard deviation 29.
        assert!(counts.values().all(|&n| (870..1130).contains(&n)), "{counts:?}");
    }

    #[test]
    fn bounded_draws_reach_every_value_and_nothing_else() {
        let mut random = Random::new(0, "below");
        let mut seen = [0; 5];
        (0..5000).for_each(|_| seen[random.below(5) as usize] += 1);
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        // A bound just above 2^31 rejects nearly half of all words.
        assert!((0..1000).all(|_| random.below((1 << 31) + 1) <= 1 << 31));
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let mean = |v: &[f32], power: i32| v.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / v.len() as f64;
        let u = uniform(5, "u", 100_000);
        assert!(u.iter().all(|x| (0.0..1.0).contains(x)));
        assert!((mean(&u, 1) - 0.5).abs() < 0.005 && (mean(&u, 2) - 1.0 / 3.0).abs() < 0.005);
        let n = normal(5, "conv1.weight", 100_001);
        assert_eq!(n.len(), 100_001);
        assert!(n.iter().all(|x| x.is_finite()));
        assert!(mean(&n, 1).abs() < 0.015 && (mean(&n, 2) - 1.0).abs() < 0.02);
        assert!(mean(&n, 3).abs() < 0.05 && (mean(&n, 4) - 3.0).abs() < 0.12);
    }

    #[test]
    fn normal_is_the_same_on_every_platform() {
        // Fixed values, computed by another program: a change here would change every run's initial
        // values.
        let bits: Vec<u32> = normal(0, "conv1.weight", 4).iter().map(|x| x.to_bits()).collect();
        assert_eq!(bits, [0x3fcf_d5c3, 0xbea6_4930, 0xbf6f_9869, 0x401e_f3e4]);
        assert_ne!(normal(0, "conv2.weight", 4), normal(0, "conv1.weight", 4));
        assert_eq!(normal(0, "conv1.weight", 3), normal(0, "conv1.weight", 4)[..3]);
    }

    /// Returns the random numbers that kernels draw for `quads` quads of a tensor.
    fn drawn(step: u32, stream: u32, quads: u32) -> Vec<f64> {
        let words = (0..quads).flat_map(|i| quad(&[7, 1, step, 0], i, stream));
        words.map(|word| f64::from(fraction(word))).collect()
    }

    #[test]
    fn quads_are_blocks_of_philox_at_their_place() {
        let random = [0xa409_3822, 0x299f_31d0, 0x1319_8a2e, 0x0370_7344];
        let block = quad(&random, 0x243f_6a88, 0x85a3_08d3);
        assert_eq!(block, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
        assert_eq!([0, 255, 256, u32::MAX].map(fraction), [0.0, 0.0, 1.0 / 16_777_216.0, 1.0 - 1.0 / 16_777_216.0]);
    }

    #[test]
    fn numbers_of_kernels_are_uniform() {
        let stream = stream("drop1/dropout") as u32;
        for step in 0..8 {
            let mut bins = [0u32; 16];
            drawn(step, stream, 16 << 10).into_iter().for_each(|u| bins[(u * 16.0) as usize] += 1);
            let expected = 4096.0;
            let chi_squared: f64 = bins.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
            // 15 degrees of freedom: outside these bounds in 2 of 10 000 cases.
            assert!((1.6..42.0).contains(&chi_squared), "step {step}: {chi_squared}, {bins:?}");
        }
    }

    #[test]
    fn numbers_of_kernels_do_not_depend_on_neighbours_steps_or_layers() {
        let correlation = |a: &[f64], b: &[f64]| {
            let products = a.iter().zip(b).map(|(a, b)| (a - 0.5) * (b - 0.5));
            12.0 * products.sum::<f64>() / a.len().min(b.len()) as f64
        };
        let quads = 16 << 10;
        let [a, b] = ["drop1/dropout", "drop2/dropout"].map(|name| stream(name) as u32);
        let here = drawn(3, a, quads);
        // Standard deviation 1/256 for 65 536 pairs.
        let most = 4.0 / 256.0;
        for lag in 1..=64 {
            let r = correlation(&here, &here[lag..]);
            assert!(r.abs() < most, "lag {lag}: {r}");
        }
        for (what, other) in [("next step", drawn(4, a, quads)), ("other layer", drawn(3, b, quads))] {
            let r = correlation(&here, &other);
            assert!(r.abs() < most, "{what}: {r}");
        }
        assert!(correlation(&here, &here) > 0.98);
    }
}
