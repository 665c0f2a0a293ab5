//! The kernels give the answers of plain loops over the definitions in `Op`'s documentation.
#![allow(clippy::unwrap_used)] // a test may panic

#[allow(dead_code)] // each test uses a part
mod networks;

use halfwave_infer::simd::limit;
use halfwave_infer::{Coding, Data, Error, Input, Kind, Layer, Network, Op, Runner, Type, largest};
use networks::{Noise, every_operation, window};

/// The codes of a tensor, H, W, C.
fn codes(words: &[u32], [h, w, c]: [usize; 3], bits: usize) -> Vec<u32> {
    let (row, plane) = (c.div_ceil(32), h * w * c.div_ceil(32));
    let bit = |p: usize, pixel: usize, c: usize| words[p * plane + pixel * row + c / 32] >> (c % 32) & 1;
    (0..h * w * c).map(|i| (0..bits).map(|p| bit(p, i / c, i % c) << p).sum()).collect()
}

/// A network of one packed convolution, and its input as codes.
fn packed(coding: Coding, bits: usize, planes: usize, channels: usize, filters: usize, seed: u64) {
    let mut noise = Noise(seed);
    let count = if coding == Coding::Sign { 1 } else { (1 << bits) - 1 };
    let words = channels.div_ceil(32);
    let tail = u32::MAX >> (words * 32 - channels);
    let signs: Vec<u32> = (0..planes * filters * 9 * words)
        .map(|at| noise.word() & if at % words + 1 == words { tail } else { u32::MAX })
        .collect();
    let combines = matches!(coding, Coding::Levels(_));
    let coefficients = if combines { vec![1.0; count * filters] } else { vec![] };
    let conv = Op::PackedConv {
        window: window(3, 1),
        filters,
        coding,
        bases: 1,
        planes,
        signs: signs.clone(),
        scale: if combines { vec![1.0] } else { vec![] },
        coefficients,
    };
    let thresholds: Vec<f32> = (0..count).map(|i| i as f32 / count as f32 - 0.5).collect();
    let flatten = Op::Conv { window: window(5, 0), filters: 2, weight: noise.floats(25 * filters * 2) };
    let op = [
        Op::Quantise { count, at_least: false, thresholds },
        conv,
        Op::Affine { scaled: true, shifted: false, gain: vec![1.0; filters], shift: vec![] },
        flatten,
    ];
    let layers = op.into_iter().enumerate().map(|(i, op)| Layer { name: format!("l{i}"), from: vec![i], op });
    let table = (0..256 * channels).map(|i| (i / channels) as f32 / 128.0 - 1.0).collect();
    let network = Network {
        input: Input { shape: [5, 5, channels], table, mean: vec![] },
        layers: layers.collect(),
        classes: vec!["a".into(), "b".into()],
        card: Default::default(),
    };
    let runner = Runner::new(network).unwrap();
    let image: Vec<u8> = (0..25 * channels).map(|_| noise.word() as u8).collect();
    let (mut input, mut found) = (Vec::new(), Vec::new());
    runner
        .trace(&image, |layer, ty, data| match (&layer.name[..], data) {
            ("l0", Data::Codes(words)) => input = codes(words, ty.shape, bits),
            ("l1", Data::Sums(sums)) => found = sums.iter().map(|&sum| sum as f32).collect(),
            ("l1", Data::Float(sums)) => found = sums.clone(),
            _ => {}
        })
        .unwrap();
    assert!(input.contains(&0) && input.contains(&(count as u32)), "the codes vary");
    let weight = |k: usize, tap: usize, c: usize| -> i32 {
        let bit = |j: usize| signs[((j * filters + k) * 9 + tap) * words + c / 32] >> (c % 32) & 1;
        (0..planes).map(|j| (2 * bit(j) as i32 - 1) << j).sum()
    };
    for (at, &sum) in found.iter().enumerate() {
        let (pixel, k) = (at / filters, at % filters);
        let mut expected = 0;
        for tap in 0..9 {
            let (y, x) = (pixel / 5 + tap / 3, pixel % 5 + tap % 3);
            if !(1..6).contains(&y) || !(1..6).contains(&x) {
                continue;
            }
            for c in 0..channels {
                let code = input[((y - 1) * 5 + x - 1) * channels + c] as i32;
                expected += weight(k, tap, c) * if coding == Coding::Sign { 2 * code - 1 } else { code };
            }
        }
        assert_eq!(sum, expected as f32, "{coding:?}, {bits} bits, {planes} planes, sum {at}");
    }
}

#[test]
fn packed_convolutions_are_exact() {
    limit::each(|| {
        for (bits, channels) in [(1, 7), (2, 40), (3, 64), (4, 33), (2, 32), (2, 130)] {
            packed(Coding::Uniform, bits, 1, channels, 11, 3);
            packed(Coding::Uniform, bits, 3, channels, 8, 4);
            packed(Coding::Levels((1 << bits) - 1), bits, 1, channels, 9, 5);
            packed(Coding::Sign, 1, 2, channels, 17, 6);
        }
        // More than a pair of blocks of filters, and sums beyond 16 bits.
        packed(Coding::Uniform, 2, 1, 16, 150, 7);
        packed(Coding::Uniform, 2, 1, 12_000, 66, 8);
    });
}

/// Every processor gives the same bits.
#[test]
fn instruction_sets_do_not_change_answers() {
    let network = every_operation();
    let image: Vec<u8> = (0..network.input.len()).map(|at| (at * 37) as u8).collect();
    let first = std::cell::RefCell::new(Vec::new());
    limit::each(|| {
        let mut found = Vec::new();
        let visit = |layer: &Layer, _: &Type, data: &Data| found.push((layer.name.clone(), data.clone()));
        Runner::new(network.clone()).unwrap().trace(&image, visit).unwrap();
        let mut first = first.borrow_mut();
        if first.is_empty() {
            *first = found;
            return;
        }
        for ((name, found), (_, first)) in found.iter().zip(&*first) {
            let bits = |data: &Data| data.floats().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert!(found == first && bits(found) == bits(first), "{name}: {found:?} instead of {first:?}");
        }
    });
}

#[test]
fn batches_and_threads_do_not_change_answers() {
    let runner = Runner::new(every_operation()).unwrap();
    let mut noise = Noise(11);
    let len = runner.network().input.len();
    let images: Vec<u8> = (0..7 * len).map(|at| noise.word() as u8 >> (at / len % 4 * 2)).collect();
    let single: Vec<f32> = images.chunks_exact(len).flat_map(|image| runner.logits(image).unwrap()).collect();
    for threads in [0, 1, 2, 3, 16] {
        assert_eq!(runner.batch(&images, threads).unwrap(), single, "{threads} threads");
    }
    let classes: Vec<_> = images.chunks_exact(len).map(|image| runner.classify(image).unwrap()).collect();
    assert_eq!(classes, single.chunks(5).map(largest).collect::<Vec<_>>());
    assert!(single.chunks(5).skip(1).all(|logits| logits != &single[..5]), "images have logits of their own");
    assert!(runner.batch(&[], 3).unwrap().is_empty());
    for wrong in [&images[1..], &images[..len - 1]] {
        assert!(matches!(runner.batch(wrong, 2), Err(Error::Image(_))));
        assert!(matches!(runner.logits(wrong), Err(Error::Image(_))));
    }
}

#[test]
fn types_are_those_of_the_data() {
    let runner = Runner::new(every_operation()).unwrap();
    let mut at = 0;
    let image = vec![9; runner.network().input.len()];
    runner
        .trace(&image, |layer, ty, data| {
            at += 1;
            assert_eq!(*ty, runner.types()[at], "{}", layer.name);
            match (data, ty.kind) {
                (Data::Float(values), Kind::Float) => assert_eq!(values.len(), ty.len()),
                (Data::Sums(values), Kind::Sums(most)) => {
                    assert_eq!(values.len(), ty.len());
                    assert!(values.iter().all(|value| value.unsigned_abs() <= most), "{}", layer.name);
                }
                (Data::Codes(words), Kind::Codes(_)) => assert_eq!(words.len() * 4, ty.bytes()),
                (data, kind) => panic!("{}: {data:?} is not {kind:?}", layer.name),
            }
        })
        .unwrap();
    assert_eq!(at, runner.network().layers.len());
}

/// Layers that nothing reads are computed and dropped.
#[test]
fn unread_layers_change_nothing() {
    let plain = every_operation();
    let mut more = plain.clone();
    let last = more.layers.pop().unwrap();
    for (at, op) in [Op::Relu, Op::Flatten].into_iter().enumerate() {
        more.layers.push(Layer { name: format!("unread{at}"), from: vec![1], op });
    }
    more.layers.push(last);
    let image = vec![77; plain.input.len()];
    let logits = |network: Network| Runner::new(network).unwrap().logits(&image).unwrap();
    assert_eq!(logits(more), logits(plain));
}
