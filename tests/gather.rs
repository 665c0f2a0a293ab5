//! Compares batches that the device gathers, augments and normalises with a step-by-step
//! implementation on whole images.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use halfwave::backend::{Backend, PlanId, cpu::CpuBackend, gpu::GpuBackend};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::Phase;
use halfwave::ops::gather::{Augment, Gather, Padding};
use halfwave::ops::{Graph, Leaf, Role};
use halfwave::plan::lower;
use halfwave::random::{Random, philox4x32};
use halfwave::tensor::{Encoding, Tensor, TensorType};
use pollster::block_on;

const STREAM: u32 = 0x5eed;
const SEED: u64 = 0x0123_4567_89ab_cdef;

/// An image as rows of pixels; `None` is a pixel that was cut out.
type Picture = Vec<Vec<Option<Vec<u8>>>>;

fn picture(bytes: &[u8], [h, w, c]: [usize; 3]) -> Picture {
    assert_eq!(bytes.len(), h * w * c);
    bytes.chunks(w * c).map(|row| row.chunks(c).map(|pixel| Some(pixel.to_vec())).collect()).collect()
}

/// Adds a border of `pad` pixels, first along rows, then along columns.
fn bordered(mut picture: Picture, pad: usize, padding: Padding) -> Picture {
    fn extended<T: Clone>(items: &[T], pad: usize, padding: Padding, zero: &T) -> Vec<T> {
        let last = items.len() - 1;
        let before = (1..=pad).rev().map(|i| match padding {
            Padding::Zero => zero.clone(),
            Padding::Replicate => items[0].clone(),
            Padding::Reflect => items[i].clone(),
        });
        let after = (1..=pad).map(|i| match padding {
            Padding::Zero => zero.clone(),
            Padding::Replicate => items[last].clone(),
            Padding::Reflect => items[last - i].clone(),
        });
        before.chain(items.iter().cloned()).chain(after).collect()
    }
    let zero = Some(vec![0; picture[0][0].as_ref().unwrap().len()]);
    picture.iter_mut().for_each(|row| *row = extended(row, pad, padding, &zero));
    let zeros = vec![zero; picture[0].len()];
    extended(&picture, pad, padding, &zeros)
}

/// Returns the image at index `n` of the batch of step `step`.
fn augmented(bytes: &[u8], gather: &Gather, n: u32, step: u64) -> Picture {
    let Augment { pad, padding, mirror, cutout } = gather.augment;
    let [h, w] = gather.size;
    let draw = |quad: u32| {
        philox4x32([quad, STREAM, step as u32, (step >> 32) as u32], [SEED as u32, (SEED >> 32) as u32])
            .map(|word| f64::from(word) / 4_294_967_296.0)
    };
    let of = |share: f64, count: usize| (share * count as f64).floor() as usize;
    let (first, second) = (draw(n), draw(n + 0x8000_0000));
    let whole = bordered(picture(bytes, gather.source), pad, padding);
    let (top, left) = (of(first[0], whole.len() - h + 1), of(first[1], whole[0].len() - w + 1));
    let mut cropped: Picture = whole[top..top + h].iter().map(|row| row[left..left + w].to_vec()).collect();
    if mirror && first[2] >= 0.5 {
        cropped.iter_mut().for_each(|row| row.reverse());
    }
    if cutout > 0 {
        let [down, right] = [of(second[0], h), of(second[1], w)].map(|centre| centre as isize - cutout as isize / 2);
        for y in down.max(0)..(down + cutout as isize).min(h as isize) {
            for x in right.max(0)..(right + cutout as isize).min(w as isize) {
                cropped[y as usize][x as usize] = None;
            }
        }
    }
    cropped
}

/// Loads a plan with only that operation, within WebGPU's default limits.
fn load(backend: &mut dyn Backend, gather: &Gather, batch: usize) -> PlanId {
    let mut graph = Graph::new();
    graph.at("input", Phase::Forward);
    let mut leaf = |name: &str, ty, role| graph.add(Leaf { name: name.into(), ty, role }, &[]).unwrap();
    let kept = Role::State { trained: false };
    let words = |len: usize| TensorType::new(&[len], Encoding::U32);
    let mut inputs =
        vec![leaf("index", words(batch), Role::Input), leaf("table", TensorType::f32(&[256, gather.source[2]]), kept)];
    if gather.uses_random() {
        inputs.push(leaf("random", words(4), Role::Input));
    }
    for (part, (_, images)) in gather.parts().enumerate() {
        inputs.push(leaf(&format!("store/{part}"), gather.part_type(images), kept));
    }
    let y = graph.add(gather.clone(), &inputs).unwrap();
    graph.output("y", y);
    graph.verify();
    let caps = Caps::baseline(DeviceClass::Software);
    block_on(backend.load(lower(&graph, &caps).unwrap())).unwrap()
}

/// Writes all images, and a table that does not change bytes.
fn fill(backend: &mut dyn Backend, id: PlanId, gather: &Gather, pixels: &[u8]) {
    let channels = gather.source[2];
    let table: Vec<f32> = (0..256 * channels).map(|i| (i / channels) as f32).collect();
    backend.write(id, "table", &Tensor::from_f32(&[256, channels], &table).words);
    for (part, (first, images)) in gather.parts().enumerate() {
        let bytes = &pixels[first * gather.image_bytes()..][..images * gather.image_bytes()];
        let mut words = vec![0u32; gather.part_type(images).words()];
        bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        backend.write(id, &format!("store/{part}"), &words);
    }
}

fn places(backend: &mut dyn Backend, id: PlanId, index: &[u32]) {
    backend.write(id, "index", &Tensor::from_u32(&[index.len()], index).words);
}

fn read(backend: &mut dyn Backend, id: PlanId) -> Vec<f32> {
    let ty = backend.plan(id).port("y").unwrap().place.ty.clone();
    Tensor { ty, words: block_on(backend.read(id, "y")).unwrap() }.to_f32()
}

/// 10 000 images, 500 per step, with all kinds of augmentation in turn.
fn ten_thousand_images(backend: &mut dyn Backend) {
    const IMAGES: usize = 1500;
    const BATCH: usize = 500;
    let mut random = Random::new(3, "images");
    let pixels: Vec<u8> = (0..IMAGES * 3072).map(|_| random.word() as u8).collect();
    let paddings = [Padding::Zero, Padding::Replicate, Padding::Reflect];
    let kinds: Vec<_> = paddings
        .into_iter()
        .flat_map(|padding| [(4, true, 0), (4, true, 16), (0, true, 7), (7, false, 0)].map(|kind| (padding, kind)))
        .collect();
    let (mut compared, mut step) = (0, (1 << 32) - 3);
    let (mut mirrored, mut cut) = (0, 0);
    for (padding, (pad, mirror, cutout)) in kinds {
        let augment = Augment { pad, padding, mirror, cutout };
        let (source, size) = ([32, 32, 3], [32, 32]);
        let gather = Gather { source, size, images: IMAGES, part_images: 700, augment, mean: false, stream: STREAM };
        let id = load(backend, &gather, BATCH);
        fill(backend, id, &gather, &pixels);
        for _ in 0..2 {
            let index: Vec<_> = (0..BATCH).map(|_| random.below(IMAGES as u32)).collect();
            places(backend, id, &index);
            let words = [SEED, step].map(|v| [v as u32, (v >> 32) as u32]);
            backend.write(id, "random", words.as_flattened());
            backend.run(id).unwrap();
            let got = read(backend, id);
            for (n, (&place, got)) in index.iter().zip(got.chunks_exact(3072)).enumerate() {
                let bytes = &pixels[place as usize * 3072..][..3072];
                let expected = augmented(bytes, &gather, n as u32, step);
                let expected: Vec<_> =
                    expected.into_iter().flatten().flat_map(|pixel| pixel.unwrap_or(vec![0; 3])).collect();
                assert!(got.iter().map(|&v| v as u8).eq(expected.iter().copied()), "{augment:?}, image {n}");
                assert!(got.iter().all(|v| v.fract() == 0.0 && (0.0..256.0).contains(v)));
                compared += 1;
                mirrored += usize::from(expected[..3] != bytes[..3]);
                cut += usize::from(expected.windows(9).any(|window| window.iter().all(|&v| v == 0)));
            }
            step += 1;
        }
    }
    assert_eq!(compared, 12_000);
    assert!(mirrored > 9_000 && cut > 5_000, "images were changed: {mirrored}, {cut}");
}

/// The training images of CIFAR-10 exceed WebGPU's default binding size.
fn more_than_a_binding_holds(backend: &mut dyn Backend) {
    const IMAGES: usize = 50_000;
    let part_images = (128 << 20) / 3072;
    let (source, size, augment) = ([32, 32, 3], [32, 32], Augment::default());
    let gather = Gather { source, size, images: IMAGES, part_images, augment, mean: false, stream: STREAM };
    assert!(IMAGES * 3072 > 128 << 20 && gather.parts().count() == 2);
    // Cheap to compute, and no two images are equal.
    let byte = |at: usize| (at.wrapping_mul(2_654_435_761) >> 13) as u8;
    let pixels: Vec<u8> = (0..IMAGES * 3072).map(byte).collect();
    let index: Vec<_> = [0, 1, part_images - 1, part_images, 49_999, 31_415, 47_111].map(|at| at as u32).into();
    let id = load(backend, &gather, index.len());
    fill(backend, id, &gather, &pixels);
    places(backend, id, &index);
    backend.run(id).unwrap();
    let got = read(backend, id);
    for (&place, got) in index.iter().zip(got.chunks_exact(3072)) {
        let expected = &pixels[place as usize * 3072..][..3072];
        assert!(got.iter().zip(expected).all(|(got, expected)| *got == f32::from(*expected)), "image {place}");
    }
}

fn both(open: impl Fn() -> Box<dyn Backend>) {
    ten_thousand_images(&mut *open());
    let mut backend = open();
    more_than_a_binding_holds(&mut *backend);
    println!("{}: 12 000 augmented images, and 50 000 in two parts", backend.name());
}

#[test]
fn images_are_gathered_on_the_cpu() {
    both(|| Box::new(CpuBackend::new()));
}

#[test]
fn images_are_gathered_on_each_driver() {
    common::on_each_driver("images_are_gathered_on_each_driver", || {
        if common::adapter().is_some() {
            both(|| Box::new(block_on(GpuBackend::open(common::adapter().unwrap(), None)).unwrap()));
        }
    });
}
