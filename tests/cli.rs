//! The command-line interface: the output of every command, and that every user error results in
//! one line of advice without writing anything.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;
#[path = "cli/environment.rs"]
mod environment;
#[path = "cli/export.rs"]
mod export;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/new.rs"]
mod new;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/predict.rs"]
mod predict;
#[path = "common/program.rs"]
mod program;
#[path = "cli/report.rs"]
mod report;
#[path = "cli/set.rs"]
mod set;
#[path = "cli/step.rs"]
mod step;
#[path = "cli/tune.rs"]
mod tune;
#[path = "cli/weights.rs"]
mod weights;

use halfwave::data::Dataset;
use halfwave::recipe::{Digits, Recipe};
use halfwave::train::checkpoint::{self, HostTensor};
use image::{GrayImage, Luma};
use program::{command, contents, fails, finish, run};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Returns the folder of a run of one epoch on the CPU backend, created once.
fn trained() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let base = RUN.get_or_init(|| {
        let base = tempfile::tempdir().unwrap();
        let out = run(base.path(), &["train", "--adapter", "cpu", "--epochs", "1", "--out", "run"]);
        for part in ["digits: 12 layers", "CPU backend", "epoch 1/1", "test accuracy", "halfwave predict run"] {
            assert!(out.contains(part), "{part} is not in {out}");
        }
        base
    });
    base.path()
}

fn run_dir() -> String {
    trained().join("run").display().to_string()
}

/// Writes a test image of the digits as an image file with exactly its pixels; returns its label.
fn picture(dir: &Path, at: usize) -> (String, u16) {
    let test = Dataset::load(&Digits.into()).unwrap().test;
    let image = test.read(&[at as u32]).unwrap();
    let pixel = |x: u32, y: u32| image[(y * 8 + x) as usize];
    let path = dir.join(format!("digit-{at}.png"));
    GrayImage::from_fn(8, 8, |x, y| Luma([(u32::from(pixel(x, y)) * 255 / 16) as u8])).save(&path).unwrap();
    (path.display().to_string(), test.labels[at])
}

#[test]
fn train_numbers_its_folders_and_goes_on() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let train = |more: &[&str]| run(dir, &[&["train", "--adapter", "cpu"], more].concat());
    assert!(train(&["--steps", "1"]).contains("runs/digits-1"));
    // A constant learning rate: with a decreasing one, an extended run differs from one that was
    // longer from the start.
    let constant = halfwave::recipe::builtin("digits").unwrap().replace("kind = \"linear\"  ", "kind = \"constant\"");
    fs::write(dir.join("constant.toml"), constant).unwrap();
    assert!(train(&["constant.toml", "--steps", "2", "--seed", "5"]).contains("runs/constant-1"));
    assert!(train(&["digits-float", "--steps", "1"]).contains("runs/digits-float-1"));
    fs::write(dir.join("mine.toml"), halfwave::recipe::builtin("digits").unwrap()).unwrap();
    assert!(train(&["mine.toml", "--steps", "1"]).contains("runs/mine-1"));
    assert!(train(&["constant.toml", "--steps", "3", "--seed", "5"]).contains("runs/constant-2"));
    let [first, second] = ["runs/constant-1", "runs/constant-2"].map(|run| dir.join(run));

    let recipe = Recipe::parse(&fs::read_to_string(first.join("recipe.toml")).unwrap(), "recipe.toml").unwrap();
    assert_eq!((recipe.train.seed, recipe.train.total_steps(1437)), (5, 2));

    assert!(train(&["--resume", "runs/constant-1"]).contains("complete: 2 of 2 steps are done"));
    let longer = train(&["--resume", "runs/constant-1", "--steps", "3"]);
    assert!(longer.contains("resuming runs/constant-1 at step 2 of 3"), "{longer}");
    let checkpoint = |dir: &Path| fs::read(dir.join("checkpoint.safetensors")).unwrap();
    assert!(checkpoint(&first) == checkpoint(&second), "a run that went on differs from one that did not stop");
}

/// `halfwave` without arguments or adapters: reports the missing GPU, trains, can be killed and
/// resumed.
#[cfg(target_os = "linux")]
#[test]
fn halfwave_alone_trains_without_an_adapter() {
    let base = tempfile::tempdir().unwrap();
    let none = |args: &[&str]| {
        let mut command = command(base.path(), args);
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        command
    };
    let metrics = base.path().join("runs/digits-1/metrics.jsonl");
    let mut child = none(&[]).spawn().unwrap();
    let begun = std::time::Instant::now();
    while !fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 2) {
        assert!(begun.elapsed().as_secs() < 120 && child.try_wait().unwrap().is_none(), "it does not train");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(err.starts_with("note: no GPU was found: computing with the CPU backend; `halfwave devices`"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(out.contains("into runs/digits-1"), "{out}");

    let done = finish(none(&["train", "--resume", "runs/digits-1", "--steps", "4"]));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("test accuracy"), "{}", done.out);
    let steps = fs::read_to_string(&metrics).unwrap().matches("{\"step\":").count();
    assert!(steps == 4 || steps.is_multiple_of(23) && done.out.contains("complete"), "{steps} rows\n{}", done.out);

    let done = finish(none(&["devices"]));
    assert!(done.code == Some(0) && done.out.contains("CPU backend") && done.err.contains("install"), "{}", done.err);
    let done = finish(none(&["selftest"]));
    assert!(done.code == Some(1) && done.err.starts_with("error: no GPU adapter"), "{}", done.err);
}

#[test]
fn eval_measures_what_training_measured() {
    let out = run(trained(), &["eval", "run", "--adapter", "cpu"]);
    let metrics = fs::read_to_string(trained().join("run/metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let accuracy = last["test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.5, "{accuracy}");
    assert!(out.contains(&format!("test accuracy  {:.1}%", 100.0 * accuracy)), "{accuracy}\n{out}");
    assert!(out.contains("test loss") && out.contains("of 360)") && out.contains("after 23 steps"), "{out}");
    let matrix: Vec<Vec<&str>> = out
        .lines()
        .skip_while(|line| !line.starts_with("class"))
        .skip(1)
        .take(10)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let cell = |text: &str| text.parse::<usize>().unwrap_or(0);
    let images: usize = matrix.iter().flat_map(|line| &line[1..11]).map(|text| cell(text)).sum();
    let right: usize = (0..10).map(|class| cell(matrix[class][class + 1])).sum();
    assert_eq!((images, right), (360, (accuracy * 360.0).round() as usize), "{out}");
    let by_file = run(trained(), &["eval", "run/checkpoint.safetensors", "--adapter", "cpu"]);
    assert_eq!(by_file.replace("run/checkpoint", "checkpoint"), out.replace("run/checkpoint", "checkpoint"));
}

#[test]
fn a_dump_is_pytorchs_run() {
    let base = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/reference");
    let [recipe, reference] = ["digits-hwgq.toml", "digits-hwgq.safetensors"].map(|name| root.join(name));
    let args = ["train", recipe.to_str().unwrap(), "--adapter", "cpu", "--init", reference.to_str().unwrap()];
    run(base.path(), &[&args[..], &["--dump", "dump.safetensors"]].concat());
    let read = |path: &Path| checkpoint::from_bytes(&fs::read(path).unwrap(), path).unwrap().0;
    let (dump, reference) = (read(&base.path().join("dump.safetensors")), read(&reference));
    assert_eq!(dump.keys().collect::<Vec<_>>(), reference.keys().collect::<Vec<_>>());
    for (name, expected) in &reference {
        let HostTensor { shape, values } = &dump[name];
        assert_eq!(shape, &expected.shape, "{name}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let pairs = values.iter().zip(&expected.values);
        let difference = norm(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let bound = 1e-4 * norm(&mut expected.values.iter().map(|&v| f64::from(v)));
        assert!(difference <= bound, "{name} is {difference:.1e} away, bound {bound:.1e}");
    }
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 2, "the dump and the folder of runs");
}

#[test]
fn plans_recipes_and_devices_are_shown() {
    let base = tempfile::tempdir().unwrap();
    let plan = run(base.path(), &["plan"]);
    for part in [
        "digits: 12 layers",
        "batch of 64",
        "bconv_narrow",
        "peak",
        "peak if kept in f32",
        "saving",
        "launches, of which",
    ] {
        assert!(plan.contains(part), "{part} is not in {plan}");
    }
    assert!(run(base.path(), &["plan", "--device-class", "software", "--batch", "7"]).contains("bconv_registers"));
    assert!(run(base.path(), &["plan", "vgg-small", "--batch", "8"]).contains("vgg-small: "));
    assert_eq!(run(base.path(), &["recipe", "vgg-small"]), halfwave::recipe::builtin("vgg-small").unwrap());
    let names: String = halfwave::recipe::BUILTIN.iter().map(|(name, _)| format!("{name}\n")).collect();
    assert_eq!(run(base.path(), &["recipe"]), names);
    let flat = run(base.path(), &["recipe", "--flat", "vgg-small-float"]);
    let origin = "# vgg-small-float extends vgg-small\n[model]\n";
    assert!(flat.starts_with(origin) && !flat.contains("\nextends"), "{flat}");
    let wide = "digits: 12 layers, 25,754 weights and biases";
    assert!(plan.contains(wide), "{wide} is not in {plan}");
    assert!(finish(command(base.path(), &["devices"])).out.contains("CPU backend"));
    assert!(run(base.path(), &["--version"]).starts_with("halfwave 0."));
    let help = run(base.path(), &["--help"]);
    for name in
        ["train", "eval", "predict", "report", "plan", "profile", "shader", "devices", "selftest", "recipe", "web"]
    {
        assert!(help.contains(&format!("\n  {name}")), "{name} is not in {help}");
    }
    assert!(fs::read_dir(base.path()).unwrap().next().is_none(), "something was written");
}

#[test]
fn the_selftest_passes_on_an_adapter() {
    let base = tempfile::tempdir().unwrap();
    fails(base.path(), &["selftest", "--adapter", "cpu"], &["the reference implementation itself"]);
    // The first driver is enough here: the conformance tests run on all drivers.
    for (name, icd) in common::drivers().into_iter().take(1) {
        let mut command = command(base.path(), &["selftest", "--device-class", "software"]);
        command.env("VK_DRIVER_FILES", &icd).env("VK_ICD_FILENAMES", &icd);
        if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
            command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
        }
        let done = finish(command);
        assert_eq!(done.code, Some(0), "{name}: {}{}", done.out, done.err);
        assert!(done.out.contains("bconv") && done.out.contains("every kernel agrees"), "{name}: {}", done.out);
        // Without a GPU, commands about adapters use a software adapter, and report it.
        let note = "note: no GPU was found: using the software adapter ";
        assert_eq!(done.err.starts_with(note), done.out.contains("· software ·"), "{name}: {}{}", done.out, done.err);
    }
}

#[test]
fn bad_checkpoints_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let good = fs::read(trained().join("run/checkpoint.safetensors")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    write("short.safetensors", &good[..good.len() / 2]);
    write("shorter.safetensors", &good[..4]);
    write("empty.safetensors", &[]);
    write("words.safetensors", b"these are words, not tensors at all");
    write("foreign.safetensors", include_bytes!("../assets/reference/digits-hwgq.safetensors"));
    let (digit, _) = picture(dir, 0);
    let cases = [
        ("short.safetensors", "this safetensors file is incomplete: it ends after"),
        ("shorter.safetensors", "not a safetensors file"),
        ("empty.safetensors", "an empty file, not a safetensors file"),
        ("words.safetensors", "a text file, not a safetensors file"),
        ("foreign.safetensors", "not a halfwave checkpoint"),
        ("missing.safetensors", "no such file"),
        (".", "no checkpoint.safetensors in this folder; name the file, such as ./empty.safetensors"),
    ];
    for (name, part) in cases {
        fails(dir, &["eval", name, "--adapter", "cpu"], &[name, part]);
        fails(dir, &["predict", name, &digit, "--adapter", "cpu"], &[name, part]);
    }
    let train = |option, value| vec!["train", "--adapter", "cpu", "--steps", "1", option, value];
    fails(dir, &train("--resume", "."), &["no checkpoint.safetensors in this folder"]);
    fails(dir, &train("--resume", "nowhere"), &["nowhere: no such folder"]);
    fails(dir, &train("--init", "missing.safetensors"), &["missing.safetensors: no such file"]);
    fails(dir, &train("--init", "short.safetensors"), &["short.safetensors: this safetensors file is incomplete"]);
    // A file of another model: it has these tensors, but conv2 and others are wider there.
    fails(
        dir,
        &train("--init", "foreign.safetensors"),
        &["foreign.safetensors: the tensor init/conv2.weight", "[40, 16, 3, 3]"],
    );
    fs::create_dir(dir.join("run")).unwrap();
    write("run/checkpoint.safetensors", &good[..good.len() - 1]);
    fails(dir, &train("--resume", "run"), &["run/checkpoint.safetensors: this safetensors file is incomplete"]);
}

#[test]
fn bad_recipes_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let digits = halfwave::recipe::builtin("digits").unwrap();
    let line_of = |text: &str, part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    for (from, to, parts) in [
        ("filters = 16", "filter = 16", &["filter", "conv1"][..]),
        ("filters = 16", "filters = 0", &["filters", "conv1"]),
        ("kind = \"hwgq\"\nbits = 2", "kind = \"hwgq\"\nbits = 9", &["bits", "q1"]),
        ("kind = \"relu\"", "kind = \"gelu\"", &["gelu", "relu3"]),
        ("lr = 0.05", "lr = ", &["TOML"]),
    ] {
        let text = digits.replacen(from, to, 1);
        assert_ne!(text, digits);
        fs::write(dir.join("my.toml"), &text).unwrap();
        let place = format!("my.toml:{}: ", line_of(&text, to.lines().last().unwrap()));
        for command in [&["train", "my.toml", "--adapter", "cpu"][..], &["plan", "my.toml"]] {
            fails(dir, command, &[&[place.as_str()], parts].concat());
        }
    }
    fails(dir, &["train", "missing.toml"], &["missing.toml: no such file; check the path"]);
    fails(dir, &["train", "missing"], &["missing: no such file or built-in recipe", "vgg-small"]);
    fails(dir, &["train", "."], &["folder"]);
    fs::write(dir.join("latin1.toml"), [0xe9, 0xff]).unwrap();
    fails(dir, &["train", "latin1.toml"], &["latin1.toml", "UTF-8"]);
    fails(dir, &["train", "vgg-small", "--adapter", "cpu"], &["cifar-10-batches-bin", "--data-dir"]);
    fails(dir, &["train", "vgg-small", "--data-dir", "nowhere", "--adapter", "cpu"], &["no folder nowhere"]);
    fails(dir, &["train", "--data-dir", ".", "--adapter", "cpu"], &["embedded"]);
}

/// The memory figures in README are those of the plan.
#[test]
fn the_readme_tells_what_a_plan_saves() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let base = tempfile::tempdir().unwrap();
    let plan = run(base.path(), &["plan", "vgg-small"]);
    assert!(plan.contains("for GPUs with WebGPU's default limits"), "{plan}");
    let all: Vec<_> = plan.lines().last().unwrap().split_whitespace().collect();
    let ["total", kept, "MiB", float, "MiB", _] = all[..] else { panic!("{all:?}") };
    let told = format!("{kept} MiB; {float} MiB in f32 | `halfwave plan vgg-small` |");
    assert!(readme.contains(&told), "{told}");
}

/// Options that choose among kernels are rejected where there are none; the message about a kernel
/// of another recipe names that recipe.
#[test]
fn kernels_that_are_not_there_are_explained() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    assert!(run(dir, &["plan", "--adapter", "cpu"]).contains("for the CPU backend"));
    fails(dir, &["profile", "--adapter", "cpu", "--device-class", "gpu"], &["one implementation per operation"]);
    assert!(run(dir, &["shader", "bconv_tile64"]).contains("sample: "), "a kernel that digits does not use");
    // The command in docs/guide/profiling.md.
    let msl = finish(command(dir, &["shader", "bconv_tile64", "--recipe", "vgg-small", "--emit", "msl"]));
    assert!(msl.code == Some(0) && msl.out.contains("kernel void"), "{}", msl.err);
    // All recipes are read before the first one is measured.
    fails(dir, &["bench", "digits", "no.toml", "--adapter", "cpu"], &["no.toml: no such file"]);
    let bench = run(dir, &["bench", "digits", "--adapter", "cpu", "--rounds", "1", "--json", "bench.json"]);
    assert!(bench.contains("one implementation per operation") && !bench.contains('*'), "{bench}");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("bench.json")).unwrap()).unwrap();
    assert!(json["host"]["cores"].as_u64().unwrap() > 0 && json["host"]["os"].is_string() && json["rounds"] == 1);
}

/// A run with a damaged `run.json` is resumed, and a warning lists what is unknown.
#[test]
fn a_damaged_run_json_is_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    run(dir, &["train", "--adapter", "cpu", "--steps", "1", "--out", "run"]);
    fs::write(dir.join("run/run.json"), "{").unwrap();
    let done = finish(command(dir, &["train", "--adapter", "cpu", "--resume", "run", "--steps", "2"]));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.starts_with("warning: run/run.json: not what halfwave train writes"), "{}", done.err);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
}

/// A plan may be inspected for another device, so it is shown whatever its size, with the limits it
/// needs.
#[test]
fn plans_of_any_size_are_shown() {
    let base = tempfile::tempdir().unwrap();
    let plan = |recipe: &str, batch: &str| run(base.path(), &["plan", recipe, "--batch", batch]);
    // 128 channels of 32×32 floats: 512 KiB per image, which is exactly WebGPU's default at 256.
    assert!(!plan("vgg-small", "256").contains("storage binding"));
    let above = plan("vgg-small", "257");
    let needs = "needs a storage binding of 128.5 MiB (conv of layer \"conv1\"); WebGPU's default is 128 MiB;";
    assert!(above.contains(&needs.replace("MiB;", "MiB; `halfwave devices` shows the limits")), "{above}");
    assert!(above.contains("peak if kept in f32") && above.contains("batch of 257 · plan "), "{above}");
    assert!(plan("vgg-small", "4000").contains("needs a storage binding of 2.0 GiB"));
    assert!(plan("resnet50", "256").contains("needs a storage binding of 784 MiB"));
    let all = plan("resnet50", "65536");
    assert!(all.contains("needs a storage binding of 196 GiB") && all.contains("use a smaller batch"), "{all}");
    // A kernel of such a plan is shown unchanged.
    let text = "extends = \"vgg-small\"\n[train]\nbatch = 300\n";
    fs::write(base.path().join("large.toml"), text).unwrap();
    assert!(run(base.path(), &["shader", "bconv", "--recipe", "large.toml", "--layer", "conv2"]).contains("bconv"));
}

#[test]
fn what_no_device_can_do_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for command in [&["train", "--steps", "1"][..], &["selftest"], &["eval", &run_dir()]] {
        fails(
            dir,
            &[command, &["--adapter", "no such card"]].concat(),
            &["\"no such card\"", "cpu", "halfwave devices"],
        );
        fails(dir, &[command, &["--adapter", "77"]].concat(), &["\"77\""]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("file"), "words").unwrap();
    let (run_dir, train) =
        (run_dir(), |option, value| vec!["train", "--adapter", "cpu", "--steps", "1", option, value]);
    fails(dir, &train("--out", "file/run"), &["file/run: a part of this path is a file"]);
    fails(dir, &train("--out", "file"), &["file is not a folder"]);
    fails(dir, &train("--out", &run_dir), &["already holds a run", "--resume"]);
    fails(dir, &train("--dump", "file/dump"), &["file/dump: a part of this path is a file"]);
    fails(dir, &train("--dump", "."), &["this is a folder"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    // The temporary file of the checkpoint links to a device that is always full.
    fs::create_dir(dir.join("full")).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.join("full/checkpoint.safetensors.part")).unwrap();
    let done = finish(command(dir, &["train", "--adapter", "cpu", "--steps", "1", "--out", "full"]));
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("error: full/checkpoint.safetensors: no space left"), "{}", done.err);
    assert!(fs::read_dir(dir.join("full")).unwrap().next().is_none(), "something is left behind");
    fails(dir, &["train", "--adapter", "cpu", "--dump", "/dev/full"], &["/dev/full", "regular file"]);

    let mut plan = command(dir, &["plan"]);
    plan.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = plan.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: standard output: no space left"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let base = tempfile::tempdir().unwrap();
    for args in [&["plan"][..], &["recipe", "digits"], &["train", "--adapter", "cpu", "--steps", "1"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(base.path(), args);
        command.stdout(writer);
        let child = command.spawn().unwrap();
        drop(command);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]), "{args:?}");
    }
    assert!(base.path().join("runs/digits-1/checkpoint.safetensors").is_file(), "training goes on unseen");
}

#[test]
fn mistyped_options_are_usage_errors() {
    let base = tempfile::tempdir().unwrap();
    for args in [
        &["trane"][..],
        &["train", "--epochs", "0"],
        &["train", "--epochs", "-1"],
        &["train", "--epochs", "1", "--steps", "1"],
        &["train", "--resume", "run", "--seed", "1"],
        &["train", "--resume", "run", "digits"],
        &["train", "--adapter", ""],
        &["plan", "--batch", "0"],
        &["plan", "--device-class", "round"],
        &["profile", "--diff", "a.json", "b.json", "--memory", "low"],
        &["tune", "--forget", "--precision", "mixed"],
        &["predict", "run"],
        &["eval"],
        &["report"],
        &["report", "--out", "page.html"],
    ] {
        let done = finish(command(base.path(), args));
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.err);
        assert!(done.err.starts_with("error: ") && done.err.contains("--help"), "{args:?}: {}", done.err);
    }
    assert!(fs::read_dir(base.path()).unwrap().next().is_none(), "something was written");
}
