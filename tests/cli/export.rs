//! `halfwave export`, and packed files in `eval` and `predict`.
use super::{fails, picture, run, run_dir};
use std::fs;

/// The lines from the loss on.
fn results(text: &str) -> String {
    text[text.find("test loss").unwrap()..].to_string()
}

#[test]
fn packed_files_answer_like_their_checkpoints() {
    let base = tempfile::tempdir().unwrap();
    let (dir, checkpoint) = (base.path(), run_dir());
    let text = run(dir, &["export", &checkpoint]);
    for part in ["conv2", "signs", "4,608     1   1,152", "run.packed.safetensors: 2", "times as much"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let packed = run(dir, &["eval", "run.packed.safetensors"]);
    assert!(packed.contains("packed, on the processor"), "{packed}");
    assert_eq!(results(&packed), results(&run(dir, &["eval", &checkpoint, "--adapter", "cpu"])));
    let (image, _) = picture(dir, 3);
    let predicted = run(dir, &["predict", "run.packed.safetensors", &image]);
    assert_eq!(predicted, run(dir, &["predict", &checkpoint, &image, "--adapter", "cpu"]));
}

#[test]
fn every_format_is_written_with_its_size() {
    let base = tempfile::tempdir().unwrap();
    let (dir, checkpoint) = (base.path(), run_dir());
    for (format, files) in [
        ("onnx", &["run.onnx"][..]),
        ("qonnx", &["run.qonnx.onnx"]),
        ("c", &["run.c", "run.h"]),
        ("safetensors", &["run.weights.safetensors"]),
    ] {
        let text = run(dir, &["export", &checkpoint, "--format", format]);
        for file in files {
            assert!(dir.join(file).is_file(), "{file} is not written");
            // Files for other programs are told from those that halfwave reads.
            fails(dir, &["eval", file, "--adapter", "cpu"], &[file, "the checkpoint", "run's folder"]);
        }
        assert!(text.contains(&format!("{}: ", files[0])) && text.contains("iB"), "{text}");
    }
    let weights = fs::read(dir.join("run.weights.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let conv = tensors.tensor("conv2.weight").unwrap();
    let values: Vec<f32> = conv.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let filter = &values[..conv.shape()[1..].iter().product::<usize>()];
    assert!(filter[0] != 0.0 && filter.iter().all(|value| value.abs() == filter[0].abs()), "a filter is ±α");
    let large = run(dir, &["export", &checkpoint, "--format", "onnx", "--out", "small.onnx", "--low-bit", "int2"]);
    assert!(large.contains("small.onnx"), "{large}");
    let len = |file: &str| fs::metadata(dir.join(file)).unwrap().len();
    assert!(len("small.onnx") < len("run.onnx"));
}

#[test]
fn exports_that_cannot_be_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let (dir, checkpoint) = (base.path(), run_dir());
    run(dir, &["export", &checkpoint]);
    let packed = dir.join("run.packed.safetensors");
    fails(dir, &["export", &checkpoint], &["run.packed.safetensors", "already exists"]);
    fails(dir, &["export", "run.packed.safetensors", "--out", "other"], &["run.packed.safetensors", "checkpoint"]);
    fails(dir, &["export", &checkpoint, "--low-bit", "int4", "--out", "x"], &["--low-bit", "onnx"]);
    fails(dir, &["export", &checkpoint, "--format", "c", "--out", "3-d.c"], &["3-d", "--out"]);
    assert!(!dir.join("3-d.h").exists(), "a header without its source");
    for name in ["net.h", "net"] {
        fails(dir, &["export", &checkpoint, "--format", "c", "--out", name], &[name, ".c"]);
    }
    for (format, name, parts) in [
        ("onnx", "x.c", ["NAME.onnx", "--format c"]),
        ("c", "x.onnx", ["NAME.c", "--format onnx"]),
        ("packed", "x.onnx", ["NAME.packed.safetensors", "--format onnx"]),
    ] {
        fails(dir, &["export", &checkpoint, "--format", format, "--out", name], &parts);
        assert!(!dir.join(name).exists(), "{name} is written");
    }
    fails(dir, &["export", &checkpoint, "--out", "none/x"], &["none"]);
    fails(dir, &["train", "--init", "run.packed.safetensors", "--adapter", "cpu"], &["run.packed.safetensors"]);
    let whole = fs::read(&packed).unwrap();
    for len in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&packed, &whole[..len]).unwrap();
        fails(dir, &["eval", "run.packed.safetensors"], &["run.packed.safetensors"]);
    }
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&packed, damaged).unwrap();
    fails(dir, &["predict", "run.packed.safetensors", "x.png"], &["checksum", "halfwave export"]);
}
