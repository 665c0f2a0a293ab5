use super::*;
use crate::ops::Op;
use crate::ops::decompress::{Decompress, Feedback};
use half::f16;

/// The message of a tensor in step `step` of rank `rank`.
fn message_of(format: Format, x: &Tensor, [step, rank]: [u32; 2]) -> Tensor {
    let random = format.uses_random().then(|| Tensor::from_u32(&[5], &[7, 1, step, 0, rank]));
    let inputs: Vec<_> = [x].into_iter().chain(&random).collect();
    Op::from(Compress { format, stream: 5 }).evaluate(&inputs)
}

fn sum_of(format: Format, messages: &[Tensor], like: &Tensor, channels: Option<usize>) -> Vec<f32> {
    let words = |message: &Tensor| message.words[..format.message_words(&like.ty)].to_vec();
    let words: Vec<_> = messages.iter().flat_map(words).collect();
    let op = Decompress { format, messages: messages.len(), shape: like.ty.shape.clone(), channels };
    Op::from(op).evaluate(&[&Tensor::from_u32(&[words.len()], &words)]).view().numbers().to_vec()
}

fn decoded(format: Format, x: &Tensor) -> Vec<f32> {
    sum_of(format, &[message_of(format, x, [0, 0])], x, None)
}

/// Each word of a tensor with what its message holds, and the scale of its block.
fn decoded_words(format: Format, x: &Tensor) -> Vec<(f64, f64, f64)> {
    let message = message_of(format, x, [0, 0]).words;
    let numbers = x.view().numbers();
    let scale = |i: usize| f64::from(f32::from_bits(message[i / BLOCK * format.block_words()]));
    let words = numbers.iter().zip(decoded(format, x)).enumerate();
    // Padding of signs is not decoded.
    let words = words.filter(|(i, _)| i % x.ty.lanes() < x.ty.channels());
    words.map(|(i, (&x, v))| (f64::from(x), f64::from(v), scale(i))).collect()
}

fn power(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

/// The number that messages represent.
fn limited(x: f64) -> f64 {
    let largest = 127.0 * power(121);
    if x.abs() < power(-100) { 0.0 } else { x.clamp(-largest, largest) }
}

#[test]
fn messages_have_the_stated_lengths() {
    for (format, bits, block_words) in
        [(Format::Half, 16.125, 129), (Format::Byte, 8.125, 65), (Format::Sign, 1.125, 9), (Format::Vote, 1.0, 8)]
    {
        assert_eq!(format.block_words(), block_words);
        for (shape, blocks) in [(vec![1], 1), (vec![256], 1), (vec![64, 1], 1), (vec![257], 2), (vec![3, 3, 8, 41], 13)]
        {
            let ty = TensorType::f32(&shape);
            assert_eq!(format.message(&ty), TensorType::new(&[blocks * block_words], U32), "{format:?} of {ty}");
        }
        let million = TensorType::f32(&[1 << 20]);
        assert_eq!(format.message_words(&million) as f64 * 32.0 / f64::from(1 << 20), bits);
    }
}

#[test]
fn messages_have_the_stated_layout() {
    let values: Vec<_> = (0..257).map(|i| if i == 256 { -3.0 } else { (i % 7) as f32 - 2.0 }).collect();
    let x = Tensor::from_f32(&[257], &values);
    let halves = message_of(Format::Half, &x, [0, 0]).words;
    let scale = 2f32.powi(2 - 14);
    let bits = |x: f32| u32::from(f16::from_f32(x / scale).to_bits());
    assert_eq!(halves[0], scale.to_bits());
    for (pair, word) in values.chunks_exact(2).zip(&halves[1..129]) {
        assert_eq!(*word, bits(pair[0]) | bits(pair[1]) << 16);
    }
    assert_eq!(halves[129..132], [2f32.powi(1 - 14).to_bits(), u32::from(f16::from_f32(-24_576.0).to_bits()), 0]);
    // The smallest scale for 4 is 2^-4: 127/16 = 7.9, and 127/32 is less than 4. The numbers are
    // whole multiples, which are not rounded.
    let bytes = message_of(Format::Byte, &x, [0, 0]).words;
    assert_eq!(bytes[0], 0.0625f32.to_bits());
    for (quad, word) in values.chunks_exact(4).zip(&bytes[1..65]) {
        assert_eq!(word.to_le_bytes().map(|byte| byte as i8), [0, 1, 2, 3].map(|lane| (quad[lane] * 16.0) as i8));
    }
    assert_eq!(bytes[65..68], [(2f32.powi(-5)).to_bits(), u32::from(-96i8 as u8), 0]);
    let signs = message_of(Format::Sign, &x, [0, 0]).words;
    let mean = values[..256].iter().map(|x| x.abs()).sum::<f32>() / 256.0;
    assert_eq!(signs[0], mean.to_bits());
    for (i, x) in values[..256].iter().enumerate() {
        assert_eq!(signs[1 + i / 32] >> (i % 32) & 1 == 1, *x < 0.0);
    }
    assert_eq!(signs[9..12], [0.75f32.to_bits(), 1, 0], "the mean of -3 and three words of padding");
    let votes = message_of(Format::Vote, &x, [0, 0]).words;
    for (i, x) in values[..256].iter().enumerate() {
        assert_eq!(votes[i / 32] >> (i % 32) & 1 == 1, *x > 0.0);
    }
    assert_eq!(votes[8..], [0; 8], "-3 and padding");
}

#[test]
fn a_vote_is_for_numbers_above_0_and_the_majority_of_votes_wins() {
    let voters = [[1.0, 1.0, 1.0, -1.0], [2.0, -2.0, 1.0, -1.0], [3.0, -3.0, -1.0, -1.0]];
    let voters = voters.map(|values| Tensor::from_f32(&[4], &values));
    let votes = voters.clone().map(|x| message_of(Format::Vote, &x, [0, 0]));
    assert_eq!(decoded(Format::Vote, &Tensor::from_f32(&[4], &[2.0, -0.0, 0.0, 1e-40])), [1.0, -1.0, -1.0, -1.0]);
    assert_eq!(sum_of(Format::Vote, &votes, &voters[0], None), [3.0, -1.0, 1.0, -3.0]);
    // A tie is no majority.
    let tie = sum_of(Format::Vote, &votes[..2], &voters[0], None);
    assert_eq!(tie, [2.0, 0.0, 2.0, -2.0]);
    assert_eq!(decoded(Format::Vote, &Tensor::from_f32(&[4], &tie)), [1.0, -1.0, 1.0, -1.0]);
}

#[test]
fn errors_are_within_the_stated_bounds() {
    let mut noise = Noise::new(113);
    let (mut dropped, mut bounded) = (0, 0);
    for x in tensors(&mut noise) {
        for (x, v, scale) in decoded_words(Format::Half, &x) {
            let x = limited(x);
            let (error, small) = ((x - v).abs(), x.abs() < power(-14) * scale);
            assert!(if small { v == 0.0 } else { error <= power(-11) * x.abs() }, "{x}: {v} in units of {scale}");
            dropped += usize::from(small && x != 0.0);
        }
        for (x, v, scale) in decoded_words(Format::Byte, &x) {
            let x = limited(x);
            assert!((x - v).abs() < scale || x == v, "{x}: {v} in units of {scale}");
            bounded += usize::from(v.abs() == 127.0 * scale && v != 0.0);
        }
        for (x, v, scale) in decoded_words(Format::Sign, &x) {
            assert_eq!(v, if limited(x) < 0.0 { -scale } else { scale });
        }
    }
    assert!(dropped > 20 && bounded > 3, "{dropped} small halves, {bounded} at the end of a byte's range");
}

#[test]
fn halves_come_back_unchanged() {
    // All normal halves, those of one exponent with the largest, so that each has its own scale.
    for exponent in [-86, 0, 112] {
        for bits in (0x0400u16..0x7800).step_by(128) {
            let numbers = bits..bits + 128;
            let numbers = numbers.flat_map(|bits| [f16::from_bits(bits), f16::from_bits(bits | 0x8000)]);
            // Of the block's numbers, one has the power of two that is scaled to 2^14.
            let mut values: Vec<_> = numbers.map(|half| half.to_f32() * 2f32.powi(exponent)).collect();
            values[0] = 2f32.powi(14 + exponent);
            let x = Tensor::from_f32(&[256], &values);
            assert_eq!(decoded(Format::Half, &x), values);
        }
    }
}

#[test]
fn halves_are_rounded_to_nearest() {
    let mut noise = Noise::new(114);
    let mut number = || {
        let exponent = 111 + noise.bits() % 31;
        f32::from_bits(noise.bits() & 0x807f_ffff | exponent << 23)
    };
    let mut values: Vec<f32> = (0..256 * 40).map(|_| number()).collect();
    // Half of them lie in the middle between two halves.
    values.iter_mut().step_by(2).for_each(|x| *x = f32::from_bits(x.to_bits() & !0x1fff | 0x1000));
    values.iter_mut().step_by(256).for_each(|x| *x = 16_384.0);
    let x = Tensor::from_f32(&[values.len()], &values);
    for (x, v) in values.iter().zip(decoded(Format::Half, &x)) {
        let nearest = if x.abs() < 2f32.powi(-14) { 0.0 } else { f16::from_f32(*x).to_f32() };
        assert_eq!(v, nearest, "{x}");
    }
}

#[test]
fn the_expected_byte_is_the_number() {
    // For every remainder the share of random words that round up, counted on a grid of them.
    for x in [0.3, -0.3, 1.999, -1.999, 126.5, -126.5, 5.0, -5.0, 1e-3, -1e-3, 0.0] {
        let (scale, words) = (1f32.to_bits(), 1 << 12);
        let sum: f64 = (0..words).map(|i| f64::from(byte(x, scale, i << 20 | 1 << 19) as i8)).sum();
        assert!((sum / f64::from(words) - f64::from(x)).abs() <= 0.5 / f64::from(words), "{x}: {sum}");
    }
    let x = Noise::new(115).floats(&[3, 100]);
    let steps = 4096;
    let mut sums = vec![0.0; x.words.len()];
    for step in 0..steps {
        let values = sum_of(Format::Byte, &[message_of(Format::Byte, &x, [step, 0])], &x, None);
        sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += f64::from(v));
    }
    for (x, sum) in x.view().numbers().iter().zip(sums) {
        // The standard deviation of one is at most half the scale, 2⁻⁵.
        let deviation = power(-6) / f64::from(steps).sqrt();
        assert!((sum / f64::from(steps) - f64::from(*x)).abs() < 5.0 * deviation, "{x}: {}", sum / f64::from(steps));
    }
}

#[test]
fn ranks_draw_different_numbers() {
    let x = Noise::new(116).floats(&[1000]);
    let of = |rank| message_of(Format::Byte, &x, [3, rank]).words;
    let all: Vec<_> = [0, 1, 2, 1023].map(of).into();
    for (i, message) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|other| other != message));
    }
    let alone = Tensor::from_u32(&[4], &[7, 1, 3, 0]);
    let alone = Op::from(Compress { format: Format::Byte, stream: 5 }).evaluate(&[&x, &alone]);
    assert_eq!(alone.words, all[0]);
    // The counters of the last rank end where those of the first begin.
    assert_eq!((1024 * RANK_QUADS) as u64, 1 << 32);
}

#[test]
fn a_sign_stands_for_the_mean() {
    let mut noise = Noise::new(117);
    for x in tensors(&mut noise) {
        let message = message_of(Format::Sign, &x, [0, 0]).words;
        let numbers: Vec<_> = x.view().numbers().iter().map(|&x| limited(f64::from(x)).abs()).collect();
        for (block, numbers) in numbers.chunks(BLOCK).enumerate() {
            let scale = f64::from(f32::from_bits(message[9 * block]));
            let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
            let largest = numbers.iter().fold(0.0f64, |largest, &x| largest.max(x));
            // The mean itself is computed in float64.
            let slack = 1e-14 * mean;
            assert!(scale <= mean + slack && mean - scale <= power(-22) * largest + slack, "{scale}, not {mean}");
        }
    }
    // 256 of the largest significand, whose sum just fits a word.
    let x = Tensor::from_f32(&[256], &[f32::from_bits(0x3fff_ffff); 256]);
    assert_eq!(message_of(Format::Sign, &x, [0, 0]).words[0], 0x3fff_ffff);
}

#[test]
fn no_result_is_subnormal_or_infinite_and_zeros_are_zero() {
    let subnormal = |v: &f32| *v != 0.0 && !v.is_normal();
    for format in Format::ALL {
        let mut noise = Noise::new(118);
        for x in tensors(&mut noise) {
            let message = message_of(format, &x, [0, 0]);
            let scales = message.words.chunks_exact(format.block_words()).map(|block| f32::from_bits(block[0]));
            assert!(!format.is_scaled() || !scales.into_iter().any(|scale| subnormal(&scale)));
            let residual = Op::from(Feedback { format, channels: None }).evaluate(&[&x, &x, &message]);
            let results = decoded(format, &x).into_iter().chain(residual.to_f32());
            assert!(!results.into_iter().any(|v| subnormal(&v)), "{format:?}");
        }
        let mut values = [0.0; 512];
        (values[0], values[1], values[511]) = (-0.0, -7e-31, 1e-40);
        (values[7], values[300]) = (f32::MIN_POSITIVE, 7.8e-31);
        assert_eq!(values.map(magnitude), [0; 512], "smaller than 2^-100");
        let message = message_of(format, &Tensor::from_f32(&[512], &values), [0, 0]);
        assert!(message.words.iter().all(|&word| word == 0), "{format:?}");
    }
}

#[test]
fn messages_are_added_in_their_order_and_padding_stays_zero() {
    for format in Format::ALL {
        let mut noise = Noise::new(119);
        let weights: Vec<_> = (0..5).map(|_| noise.weights([3, 3], 6, 10)).collect();
        let messages: Vec<_> = weights.iter().enumerate().map(|(i, w)| message_of(format, w, [0, i as u32])).collect();
        let sum = sum_of(format, &messages, &weights[0], Some(6));
        let each = messages.iter().map(|message| sum_of(format, std::slice::from_ref(message), &weights[0], Some(6)));
        let added = each.reduce(|sum, v| sum.iter().zip(v).map(|(sum, v)| sum + v).collect());
        assert_eq!(Some(&sum), added.as_ref());
        let mut values = 0;
        for (i, v) in sum.iter().enumerate() {
            let (row, lane) = (i / 12, i % 12);
            let padding = row % 8 >= 6 || lane >= 10;
            assert!(!padding || v.to_bits() == 0, "{format:?}: {v} at {i}");
            values += usize::from(*v != 0.0);
        }
        assert!(values > 500, "{format:?}: {values} values");
        let op = Feedback { format, channels: Some(6) };
        let residual = Op::from(op).evaluate(&[&weights[1], &weights[0], &messages[0]]);
        let kept = sum_of(format, &messages[..1], &weights[0], Some(6));
        for ((r, x), v) in residual.view().numbers().iter().zip(weights[0].view().numbers().iter()).zip(kept) {
            assert_eq!(*r, x - v);
        }
    }
}

/// With error feedback everything is sent eventually: what was sent and the residual are the sum of
/// the gradients, and the residual stays bounded.
#[test]
fn feedback_keeps_what_messages_omit() {
    for format in Format::ALL {
        let mut noise = Noise::new(120);
        let mut residual = Tensor::zeros(TensorType::f32(&[300]));
        let (mut given, mut sent) = (vec![0.0f64; 300], vec![0.0f64; 300]);
        for step in 0..200 {
            let g = noise.floats(&[300]);
            let x: Vec<_> = g.to_f32().iter().zip(residual.to_f32()).map(|(g, r)| g + r).collect();
            let x = Tensor::from_f32(&[300], &x);
            let message = message_of(format, &x, [step, 0]);
            residual = Op::from(Feedback { format, channels: None }).evaluate(&[&residual, &x, &message]);
            let values = sum_of(format, &[message], &x, None);
            given.iter_mut().zip(g.to_f32()).for_each(|(sum, v)| *sum += f64::from(v));
            sent.iter_mut().zip(values).for_each(|(sum, v)| *sum += f64::from(v));
        }
        for ((given, sent), r) in given.iter().zip(&sent).zip(residual.to_f32()) {
            assert!((given - sent - f64::from(r)).abs() < 1e-3, "{format:?}: {given}, {sent} and {r}");
            let most = if matches!(format, Format::Sign | Format::Vote) { 40.0 } else { 0.1 };
            assert!(r.abs() < most, "{format:?}: the residual {r}");
        }
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let [x, words] = [TensorType::f32(&[2, 300]), TensorType::new(&[5], U32)];
    let infer = |op: Op, inputs: &[&TensorType]| op.infer(inputs).unwrap_err();
    let compress = |format| Op::from(Compress { format, stream: 0 });
    assert_eq!(infer(compress(Format::Byte), &[&x]), "expected 2 inputs, got 1");
    assert_eq!(infer(compress(Format::Half), &[&x, &words]), "expected 1 inputs, got 2");
    assert_eq!(infer(compress(Format::Sign), &[&words]), "the tensor must be f32, not u32[5]");
    let decompress = |messages, shape: &[usize], channels| {
        Op::from(Decompress { format: Format::Sign, messages, shape: shape.to_vec(), channels })
    };
    let wrong = infer(decompress(2, &[2, 300], None), &[&words]);
    assert_eq!(wrong, "the messages is u32[5], expected u32[54]");
    for messages in [0, 1025] {
        let wrong = infer(decompress(messages, &[2, 300], None), &[&words]);
        assert_eq!(wrong, format!("{messages} messages: expected 1 to 1024"));
    }
    assert_eq!(infer(decompress(1, &[], None), &[&words]), "the shape has no axis: expected at least one");
    for shape in [vec![3, 3, 8, 4], vec![8]] {
        let wrong = infer(decompress(1, &shape, Some(9)), &[&words]);
        assert!(wrong.starts_with("9 channels need a weight [r, s, c, k] with at least as many"), "{wrong}");
    }
    let feedback = Op::from(Feedback { format: Format::Sign, channels: None });
    assert_eq!(infer(feedback, &[&x, &x, &words]), "the message is u32[5], expected u32[27]");
}
