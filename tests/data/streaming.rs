//! Pictures that stay files: the same images as in memory, prefetched in order, in little memory
//! whatever their number.
use halfwave::data::{Batch, Dataset, Part, Pixels, Prefetch, epoch_batches};
use halfwave::recipe::{Data, Folder, Pictures};
use image::{Rgb, RgbImage};
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn folder(dir: &Path, image: [usize; 3], classes: usize, stream_above: u64) -> Data {
    let pictures = Pictures { stream_above, ..Pictures::default() };
    Folder { dir: dir.into(), image, classes, pictures }.into()
}

/// Three classes of pictures of many sizes and kinds, all different.
fn write_pictures(dir: &Path) {
    for class in 0..3 {
        fs::create_dir_all(dir.join(format!("{class}"))).unwrap();
        for at in 0..20u32 {
            let ending = ["png", "ppm", "bmp", "jpg"][at as usize % 4];
            let path = dir.join(format!("{class}/{at:02}.{ending}"));
            let colour = move |x, y| Rgb([(x * 9 + at * 5) as u8, (y * 7 + class * 50) as u8, (x * y + at) as u8]);
            RgbImage::from_fn(9 + at, 25 - at, colour).save(path).unwrap();
        }
    }
}

#[test]
fn files_are_the_images_that_memory_holds() {
    let base = tempfile::tempdir().unwrap();
    write_pictures(base.path());
    let load = |stream_above| {
        let data = folder(base.path(), [3, 8, 8], 3, stream_above);
        Dataset::load(&Data {
            validation: halfwave::data::Validation::Share(0.25),
            limit: Some(41),
            test_limit: Some(7),
            ..data
        })
        .unwrap()
    };
    let (files, memory) = (load(0), load(1024));
    assert_eq!((files.train.len(), files.validation.as_ref().unwrap().len(), files.test.len()), (31, 10, 7));
    for part in [Part::Train, Part::Validation, Part::Test] {
        let (files, memory) = (files.part(part).unwrap(), memory.part(part).unwrap());
        assert!(matches!(files.pixels, Pixels::Files(_)) && matches!(memory.pixels, Pixels::Memory(_)));
        assert_eq!((&files.labels, files.shape, files.input), (&memory.labels, memory.shape, memory.input));
        // In another order, and some twice.
        let index: Vec<u32> = (0..files.len() as u32).rev().chain([1, 0, 1]).collect();
        let wanted = memory.read(&index).unwrap();
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| files.read(&index)).unwrap(), wanted, "{threads} threads");
        }
        let normalise = super::as_they_are(files.shape[0]);
        assert_eq!(files.normalised(&index, &normalise).unwrap(), memory.normalised(&index, &normalise).unwrap());
    }
}

#[test]
fn batches_come_ahead_in_order() {
    let base = tempfile::tempdir().unwrap();
    write_pictures(base.path());
    for stream_above in [0, 1024] {
        let data = Arc::new(Dataset::load(&folder(base.path(), [3, 8, 8], 3, stream_above)).unwrap());
        for part in [Part::Train, Part::Test] {
            let split = data.part(part).unwrap();
            let batches = epoch_batches(split.len(), 5, 3, 1, true, false);
            let wanted: Vec<Batch> = batches
                .iter()
                .map(|batch| Batch { pixels: split.read(batch).unwrap(), labels: split.labels_at(batch) })
                .collect();
            for begin in [0, 2, batches.len()] {
                let ahead = Prefetch::new(Arc::clone(&data), part, batches[begin..].to_vec()).unwrap();
                assert_eq!(ahead.map(Result::unwrap).collect::<Vec<_>>(), wanted[begin..]);
            }
        }
        let missing = Prefetch::new(data, Part::Validation, vec![]).err().unwrap().to_string();
        assert!(missing.contains("there are no validation images"), "{missing}");
    }
}

#[test]
fn a_damaged_file_is_skipped_and_a_missing_one_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    write_pictures(base.path());
    let data = Arc::new(Dataset::load(&folder(base.path(), [3, 8, 8], 3, 0)).unwrap());
    let Pixels::Files(listing) = &data.train.pixels else { panic!("they stay files") };
    assert_eq!((listing.len(), listing.name(5), listing.name(15)), (48, "0/06.bmp", "0/18.bmp"));
    let image = |at: u32| data.train.read(&[at]).unwrap();
    let (whole, first, sixth) = (image(8), image(0), image(6));
    // The one before the last of its class, and the last: after them, the first one follows.
    for at in [5, 14, 15] {
        fs::write(base.path().join(listing.name(at)), "words").unwrap();
    }
    assert_eq!(image(5), sixth);
    assert_eq!((image(14), image(15)), (first.clone(), first.clone()));
    // The same in a batch, in another order, prefetched, and in another process that resumes later.
    let batches: Vec<Vec<u32>> = vec![vec![8, 5], vec![15, 14, 8], vec![5]];
    let wanted = [[&whole[..], &sixth].concat(), [&first[..], &first, &whole].concat(), sixth.clone()];
    for data in [Arc::clone(&data), Arc::new(Dataset { ..(*data).clone() })] {
        let read: Vec<_> =
            Prefetch::new(data, Part::Train, batches.clone()).unwrap().map(|batch| batch.unwrap()).collect();
        assert_eq!(read.iter().map(|batch| batch.pixels.clone()).collect::<Vec<_>>(), wanted);
        assert_eq!(read[0].labels, [0, 0]);
    }
    // A disk that is temporarily unavailable must not change the images used for training.
    fs::remove_file(base.path().join(listing.name(7))).unwrap();
    let found: Vec<_> = Prefetch::new(Arc::clone(&data), Part::Train, vec![vec![8, 7], vec![8]]).unwrap().collect();
    let error = found[0].as_ref().unwrap_err().to_string();
    let name = base.path().join(listing.name(7)).display().to_string();
    assert!(error.contains(&name) && error.contains("readable again, and resume the run"), "{error}");
    assert_eq!(found[1].as_ref().unwrap().pixels, whole);
    // A class without any picture has no images to train on.
    for at in (0..listing.len()).filter(|&at| listing.name(at).starts_with("1/")) {
        fs::write(base.path().join(listing.name(at)), "words").unwrap();
    }
    let error = data.train.read(&[20]).unwrap_err().to_string();
    assert!(error.contains("1/") && error.contains("no picture of this class can be decoded"), "{error}");
}

/// A value of `/proc/self/status`, in MiB.
#[cfg(target_os = "linux")]
fn memory_mib(figure: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// The folder read by the separate process whose memory is measured.
#[cfg(target_os = "linux")]
const CHILD: &str = "HALFWAVE_TEST_STREAM";

/// 100 000 pictures that would take 300 MiB as images are listed, shuffled for an epoch and read,
/// with at most 60 MiB of additional memory.
#[cfg(target_os = "linux")]
#[test]
fn a_hundred_thousand_pictures_take_little_memory() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return read_in_little_memory(Path::new(&dir));
    }
    use rayon::prelude::*;
    let base = tempfile::tempdir().unwrap();
    (0..10u8).into_par_iter().for_each(|class| {
        let dir = base.path().join(format!("class{class}"));
        fs::create_dir(&dir).unwrap();
        let originals: Vec<_> = (0..8u8).map(|at| dir.join(format!("{at:05}.ppm"))).collect();
        for (at, path) in (0..).zip(&originals) {
            RgbImage::from_pixel(12, 12, Rgb([class, at, 7])).save(path).unwrap();
        }
        for at in 8..10_000 {
            fs::hard_link(&originals[at % 8], dir.join(format!("{at:05}.ppm"))).unwrap();
        }
    });
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "streaming::a_hundred_thousand_pictures_take_little_memory", "--nocapture"]);
    let output = child.env(CHILD, base.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
    print!("{text}");
}

#[cfg(target_os = "linux")]
fn read_in_little_memory(dir: &Path) {
    let before = memory_mib("VmRSS");
    let began = std::time::Instant::now();
    let data = folder(dir, [3, 32, 32], 10, 50);
    let data = Arc::new(Dataset::load(&Data { validation: halfwave::data::Validation::Share(0.01), ..data }).unwrap());
    let listed = memory_mib("VmHWM") - before;
    let listed_s = began.elapsed().as_secs_f64();
    // 232 and 59 MiB stay files; 2 MiB do not.
    let held_out = data.validation.as_ref().unwrap();
    assert!([&data.train, &data.test].iter().all(|split| matches!(split.pixels, Pixels::Files(_))));
    assert_eq!((data.train.len(), data.test.len(), held_out.len()), (79_200, 20_000, 800));
    assert_eq!(held_out.in_memory().unwrap().len(), 800 * 3072);
    let batches = epoch_batches(data.train.len(), 64, 1, 0, true, false);
    let mut ahead = Prefetch::new(Arc::clone(&data), Part::Train, batches.clone()).unwrap();
    for (batch, index) in ahead.by_ref().take(200).zip(&batches) {
        let batch = batch.unwrap();
        // A picture has one colour, whose red value is its class.
        for ((image, &label), &at) in batch.pixels.chunks_exact(3072).zip(&batch.labels).zip(index) {
            assert_eq!(label, u32::from(data.train.labels[at as usize]));
            assert!(image.chunks_exact(3).all(|pixel| u32::from(pixel[0]) == label && pixel[2] == 7));
        }
    }
    drop(ahead);
    let names = fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    assert!(names.into_iter().all(|name| name.trim() != "prefetch"), "the thread is still there");
    let most = memory_mib("VmHWM") - before;
    println!(
        "listed in {listed_s:.1} s with {listed:.1} MiB, read in {:.1} s with {most:.1}",
        began.elapsed().as_secs_f64()
    );
    assert!(most < 60.0, "{most:.1} MiB more than before");
}
