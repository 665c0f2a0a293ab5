//! Data stored with a model: class names and normalisation. Also weights from other tools.
use super::{command, fails, finish, run, trained};
use halfwave::recipe::builtin;
use halfwave::train::checkpoint::{self, Checkpoint};
use halfwave::train::{HostTensor, run::SavedRun};
use image::{GrayImage, Luma};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CPU: [&str; 2] = ["--adapter", "cpu"];

/// Creates a network in `run`, trained on dark images in `pictures/a` and light ones in
/// `pictures/b`, and a light image, `light.png`.
fn trained_on_pictures() -> TempDir {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for (class, grey) in [("a", 20), ("b", 220)] {
        fs::create_dir_all(dir.join("pictures").join(class)).unwrap();
        for at in 0..10 {
            picture(&dir.join(format!("pictures/{class}/{at}.png")), grey + at);
        }
    }
    picture(&dir.join("light.png"), 225);
    let text = builtin("digits").unwrap().replace("classes = 10", "classes = 2").replace("units = 10", "units = 2");
    let text = text.replace("set = \"digits\"", "set = \"folder\"\ndir = \"pictures\"");
    let text = text.replace("scale = [0.0625, -0.5]", "").replace("batch = 64", "batch = 8");
    fs::write(dir.join("my.toml"), text).unwrap();
    run(dir, &[&["train", "my.toml", "--steps", "12", "--out", "run"], &CPU[..]].concat());
    base
}

fn picture(path: &Path, grey: u8) {
    GrayImage::from_pixel(8, 8, Luma([grey])).save(path).unwrap();
}

/// Copies a run's checkpoint with a change.
fn changed(dir: &Path, name: &str, change: impl FnOnce(&mut Checkpoint)) -> PathBuf {
    let mut checkpoint = SavedRun::read(&dir.join("run")).unwrap().checkpoint;
    change(&mut checkpoint);
    fs::write(dir.join(name), checkpoint.to_bytes()).unwrap();
    dir.join(name)
}

#[test]
fn class_names_and_normalisation_travel_with_the_network() {
    let base = trained_on_pictures();
    let dir = base.path();
    let of = |args: &[&str]| run(dir, &[args, &CPU].concat());
    let predicted = of(&["predict", "run", "light.png"]);
    assert!(predicted.starts_with("light.png  b "), "{predicted}");
    let evaluated = of(&["eval", "run"]);
    assert!(evaluated.contains("(4 of 4)") && evaluated.contains("\nb "), "{evaluated}");

    // A class folder has been renamed: it must not be mistaken for another class.
    let (a, z) = (dir.join("pictures/a"), dir.join("pictures/z"));
    fs::rename(&a, &z).unwrap();
    assert_eq!(of(&["predict", "run", "light.png"]), predicted);
    let renamed = ["folder, pictures: the network has no class \"z\", and its class \"a\" is missing", "its old name"];
    fails(dir, &["eval", "run", CPU[0], CPU[1]], &renamed);
    fails(dir, &["train", "--resume", "run", "--steps", "20", CPU[0], CPU[1]], &renamed);
    fs::rename(&z, &a).unwrap();

    // The folder has been moved.
    fs::rename(dir.join("pictures"), dir.join("elsewhere")).unwrap();
    assert_eq!(of(&["predict", "run", "light.png"]), predicted);
    // The first line contains the folder.
    let [there, here] = [of(&["eval", "run", "--data-dir", "elsewhere"]), evaluated.clone()];
    assert_eq!(there.split_once('\n').unwrap().1, here.split_once('\n').unwrap().1);
    fs::rename(dir.join("elsewhere"), dir.join("pictures")).unwrap();

    // The network's normalisation is used, not that of the modified recipe.
    let recipe = fs::read_to_string(dir.join("run/recipe.toml")).unwrap();
    let scale = recipe.lines().find(|line| line.starts_with("scale")).unwrap();
    fs::write(dir.join("run/recipe.toml"), recipe.replace(scale, "scale = [0.0, 0.0]")).unwrap();
    assert_eq!(of(&["predict", "run", "light.png"]), predicted);
    assert_eq!(of(&["eval", "run"]), evaluated);
    fs::write(dir.join("run/recipe.toml"), recipe).unwrap();

    // The names are those of the network, in the order of its outputs.
    changed(dir, "swapped.safetensors", |checkpoint| checkpoint.trained_on.as_mut().unwrap().classes.reverse());
    assert!(of(&["predict", "swapped.safetensors", "light.png"]).starts_with("light.png  a "));
    let done = finish(command(dir, &["eval", "swapped.safetensors", CPU[0], CPU[1]]));
    assert!(done.out.contains("(0 of 4)") && done.out.contains("\nb "), "{}{}", done.out, done.err);

    // Checkpoints of earlier versions do not contain names.
    changed(dir, "old.safetensors", |checkpoint| checkpoint.trained_on = None);
    let done = finish(command(dir, &["predict", "old.safetensors", "light.png", CPU[0], CPU[1]]));
    assert!(done.out.starts_with("light.png  1 ") && done.err.contains("--data-dir DIR"), "{}{}", done.out, done.err);
    assert_eq!(of(&["predict", "old.safetensors", "light.png", "--data-dir", "pictures"]), predicted);
    assert!(of(&["eval", "old.safetensors"]).contains("(4 of 4)"));
}

#[test]
fn a_changed_data_set_is_told() {
    let base = trained_on_pictures();
    let dir = base.path();
    let resume = ["train", "--resume", "run", "--steps", "20", CPU[0], CPU[1]];
    let eval = || finish(command(dir, &["eval", "run", CPU[0], CPU[1]]));
    picture(&dir.join("pictures/b/more.png"), 200);
    fails(
        dir,
        &resume,
        &["the run's training images", "there are 17 of them, but the run was trained on 16", "--init"],
    );
    let done = eval();
    assert!(done.out.contains("(4 of 4)") && done.err.contains("note: this data set differs from"), "{}", done.err);
    fs::remove_file(dir.join("pictures/b/more.png")).unwrap();

    // The same number of images with other labels.
    let [from, to] = ["a/", "b/from-a-"].map(|start| move |at: i32| format!("pictures/{start}{at}.png"));
    (0..5).for_each(|at| fs::rename(dir.join(from(at)), dir.join(to(at))).unwrap());
    fails(dir, &resume, &["the same number, but with other labels"]);
    (0..5).for_each(|at| fs::rename(dir.join(to(at)), dir.join(from(at))).unwrap());

    fs::create_dir(dir.join("pictures/c")).unwrap();
    picture(&dir.join("pictures/c/0.png"), 128);
    let extra = ["the network has no class \"c\" (it has \"a\", \"b\"); remove it from the data set"];
    fails(dir, &resume, &extra);
    fails(dir, &["eval", "run", CPU[0], CPU[1]], &extra);
    fs::remove_dir_all(dir.join("pictures/c")).unwrap();

    // Some of the classes are enough for an evaluation, and they keep their labels.
    fs::rename(dir.join("pictures/a"), dir.join("kept")).unwrap();
    fails(dir, &resume, &["the network's class \"a\" is missing from the data set; restore it"]);
    let done = eval();
    assert!(
        done.out.contains("(2 of 2)") && done.err.contains("note: there are no test images of a\n"),
        "{}{}",
        done.out,
        done.err
    );
    fs::create_dir(dir.join("pictures/a")).unwrap();
    let done = eval();
    assert!(done.out.contains("(2 of 2)") && done.err.contains("a/ (a folder without pictures)"), "{}", done.err);
    fails(dir, &resume, &["the network's class \"a\" is missing from the data set"]);
    fs::remove_dir(dir.join("pictures/a")).unwrap();
    fs::rename(dir.join("kept"), dir.join("pictures/a")).unwrap();
    run(dir, &resume);
}

/// Serialises a tensor of any type.
type Raw = (Dtype, Vec<usize>, Vec<u8>);

fn write(path: &Path, tensors: &BTreeMap<String, Raw>) {
    let view = |(name, (dtype, shape, bytes)): (&String, &'_ Raw)| (name.clone(), *dtype, shape.clone(), bytes.clone());
    let kept: Vec<_> = tensors.iter().map(view).collect();
    let views =
        kept.iter().map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Returns the weights of the digits run, without the optimiser's state.
fn weights() -> BTreeMap<String, HostTensor> {
    let path = trained().join("run/checkpoint.safetensors");
    let (mut tensors, _) = checkpoint::from_bytes(&fs::read(&path).unwrap(), &path).unwrap();
    tensors.retain(|name, _| !name.contains('/'));
    tensors
}

fn raw(tensors: &BTreeMap<String, HostTensor>, dtype: Dtype, bytes: impl Fn(f32) -> Vec<u8>) -> BTreeMap<String, Raw> {
    let values = |tensor: &HostTensor| tensor.values.iter().flat_map(|&value| bytes(value)).collect();
    tensors.iter().map(|(name, tensor)| (name.clone(), (dtype, tensor.shape.clone(), values(tensor)))).collect()
}

/// Returns the initial values of a run that loads its weights from `path`.
fn begun_with(dir: &Path, path: &str) -> BTreeMap<String, HostTensor> {
    let dump = dir.join("dump.safetensors");
    let args = ["train", "--steps", "1", "--init", path, "--dump", "dump.safetensors", "--out", "new", CPU[0], CPU[1]];
    run(dir, &args);
    fs::remove_dir_all(dir.join("new")).unwrap();
    let (tensors, _) = checkpoint::from_bytes(&fs::read(&dump).unwrap(), &dump).unwrap();
    fs::remove_file(&dump).unwrap();
    let start = |(name, tensor): (String, HostTensor)| Some((name.strip_prefix("init/")?.to_string(), tensor));
    tensors.into_iter().filter_map(start).collect()
}

#[test]
fn weights_of_other_tools_are_taken() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let weights = weights();
    let same = |path: &str, cut: &dyn Fn(f32) -> f32| {
        let found = begun_with(dir, path);
        assert!(found.contains_key("fc.weight") && found.contains_key("bn3.bias"), "{path}");
        for (name, tensor) in found {
            let expected: Vec<_> = weights[&name].values.iter().map(|&value| cut(value)).collect();
            assert_eq!(tensor.values, expected, "{path}: {name}");
        }
    };
    let f32s = raw(&weights, Dtype::F32, |value| value.to_le_bytes().into());
    // As PyTorch saves the state dict of a wrapped module, with its batch counter, and a tensor of
    // an unsupported type.
    let mut torch: BTreeMap<_, _> =
        f32s.iter().map(|(name, raw)| (format!("_orig_mod.module.{name}"), raw.clone())).collect();
    torch.insert("_orig_mod.module.bn1.num_batches_tracked".into(), (Dtype::I64, vec![], 46i64.to_le_bytes().into()));
    write(&dir.join("torch.safetensors"), &torch);
    same("torch.safetensors", &|value| value);
    let run_dir = trained().join("run");
    same(run_dir.to_str().unwrap(), &|value| value);

    write(&dir.join("f64.safetensors"), &raw(&weights, Dtype::F64, |value| f64::from(value).to_le_bytes().into()));
    same("f64.safetensors", &|value| value);
    let bf16 = |value: f32| (value.to_bits() >> 16) as u16;
    write(&dir.join("bf16.safetensors"), &raw(&weights, Dtype::BF16, |value| bf16(value).to_le_bytes().into()));
    same("bf16.safetensors", &|value| f32::from_bits(u32::from(bf16(value)) << 16));
    // Rounded towards 0, without subnormal numbers.
    let small = |value: f32| value.abs() < 2f32.powi(-14);
    let f16 = |value: f32| {
        let bits = value.to_bits();
        let magnitude = if small(value) { 0 } else { ((bits & 0x7fff_ffff) >> 13) - (112 << 10) };
        (bits >> 16 & 0x8000 | magnitude) as u16
    };
    write(&dir.join("f16.safetensors"), &raw(&weights, Dtype::F16, |value| f16(value).to_le_bytes().into()));
    same("f16.safetensors", &|value| {
        if small(value) { value * 0.0 } else { f32::from_bits(value.to_bits() & !0x1fff) }
    });

    // Tensors that look like weights but do not belong to the model are reported.
    let mut more = f32s;
    more.insert("conv9.weight".into(), (Dtype::I8, vec![2], vec![1, 2]));
    write(&dir.join("more.safetensors"), &more);
    let done = finish(command(dir, &["train", "--steps", "1", "--init", "more.safetensors", CPU[0], CPU[1]]));
    assert_eq!(done.err, "note: more.safetensors: unused tensors: conv9.weight\n");
}

#[test]
fn weights_that_do_not_fit_and_other_files_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let refused = |path: &str, parts: &[&str]| {
        let parts = [&[path], parts].concat();
        fails(dir, &["train", "--steps", "1", "--init", path, CPU[0], CPU[1]], &parts);
    };
    let weights = raw(&weights(), Dtype::F32, |value| value.to_le_bytes().into());
    let with = |name: &str, tensor: &str, raw: Option<Raw>| {
        let mut changed = weights.clone();
        changed.remove(tensor);
        changed.extend(raw.map(|raw| (tensor.to_string(), raw)));
        write(&dir.join(name), &changed);
    };
    with("backbone.safetensors", "fc.weight", None);
    refused("backbone.safetensors", &["one is missing: fc.weight", "rename"]);
    with("head.safetensors", "fc.weight", Some((Dtype::F32, vec![5, 64], vec![0; 5 * 64 * 4])));
    refused("head.safetensors", &["fc.weight has the shape [5, 64], but the model's has [10, "]);
    with("whole.safetensors", "fc.bias", Some((Dtype::I64, vec![10], vec![0; 80])));
    refused("whole.safetensors", &["fc.bias is I64, but weights must be F32, F16, BF16 or F64"]);
    let large: Vec<u8> = [0.0; 9].into_iter().chain([1e300f64]).flat_map(f64::to_le_bytes).collect();
    with("large.safetensors", "fc.bias", Some((Dtype::F64, vec![10], large)));
    refused("large.safetensors", &["fc.bias holds inf (value 9 of 10)"]);

    fs::write(dir.join("weights.pth"), [b"PK\x03\x04", &[7; 200][..]].concat()).unwrap();
    refused("weights.pth", &["a ZIP archive, as PyTorch's", "python3 -c", "'weights.safetensors')"]);
    fs::write(dir.join("pointer.safetensors"), "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
        .unwrap();
    refused("pointer.safetensors", &["a Git LFS pointer", "git lfs pull"]);
    fs::write(dir.join("my.toml"), builtin("digits").unwrap()).unwrap();
    refused("my.toml", &["not a safetensors file", "name a checkpoint"]);
    refused(".", &["no checkpoint.safetensors in this folder; name the file, such as ./backbone.safetensors"]);

    // A checkpoint of a diverged run is rejected by every command.
    fs::create_dir(dir.join("run")).unwrap();
    fs::copy(trained().join("run/checkpoint.safetensors"), dir.join("run/checkpoint.safetensors")).unwrap();
    picture(&dir.join("a.png"), 100);
    let path = changed(dir, "run/checkpoint.safetensors", |checkpoint| {
        checkpoint.tensors.get_mut("conv1.weight").unwrap().values[3] = f32::NAN;
    });
    let bad = ["run/checkpoint.safetensors: the tensor conv1.weight holds NaN (value 3 of"];
    for args in
        [&["eval", "run"][..], &["predict", "run", "a.png"], &["train", "--resume", "run"], &["train", "--init", "run"]]
    {
        fails(dir, &[args, &CPU].concat(), &bad);
    }
    assert!(path.exists());
}
