//! `halfwave report`: comparison of runs, with all their plots.
use super::{command, contents, fails, finish, run};
use halfwave::recipe::builtin;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Returns a page and its data.
fn read(path: &Path) -> (String, Value) {
    let page = fs::read_to_string(path).unwrap();
    let json = page.split_once("<script id=\"data\" type=\"application/json\">").unwrap().1;
    let shown = serde_json::from_str(json.split_once("</script>").unwrap().0).unwrap();
    (page, shown)
}

/// Returns the values of a key in every object of a list.
fn all<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap()).collect()
}

#[test]
fn runs_are_compared_on_a_page() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let slow = builtin("digits").unwrap().replace("lr = 0.05", "lr = 0.01");
    fs::write(dir.join("slow.toml"), slow).unwrap();
    for (recipe, out) in [("digits", "fast"), ("slow.toml", "slow <b>")] {
        run(dir, &["train", recipe, "--adapter", "cpu", "--epochs", "2", "--out", out]);
    }
    let printed = run(dir, &["report", "fast", "slow <b>", "--adapter", "cpu", "--plots", "plots"]);
    assert!(
        printed.contains("report written to report.html") && printed.contains("fast on 360 test images"),
        "{printed}"
    );
    let (page, shown) = read(&dir.join("report.html"));

    assert_eq!(all(&shown["runs"], "name"), ["fast", "slow <b>"]);
    assert!(page.contains("<title>fast, slow &lt;b&gt; · halfwave report</title>"));
    assert_eq!(shown["differences"], serde_json::json!([{ "key": "train.optimizer.lr", "values": ["0.05", "0.01"] }]));
    assert_eq!(all(&shown["learning"], "id")[..2], ["loss", "accuracy"]);
    let losses = shown["learning"][0]["lines"].as_array().unwrap();
    assert_eq!(losses.iter().map(|line| line["points"].as_array().unwrap().len()).collect::<Vec<_>>(), [46, 46]);
    for (at, matrix) in shown["confusion"].as_array().unwrap().iter().enumerate() {
        let counts: Vec<Vec<u64>> = serde_json::from_value(matrix["counts"].clone()).unwrap();
        let right: u64 = (0..10).map(|class| counts[class][class]).sum();
        assert_eq!(counts.iter().flatten().sum::<u64>(), 360);
        // The last row of the metrics belongs to the same checkpoint.
        let last = shown["runs"][at]["last"].as_f64().unwrap();
        assert_eq!(right, (360.0 * last).round() as u64);
        assert!(right > 180, "{right}");
    }
    assert_eq!((shown["confusion"].as_array().unwrap().len(), all(&shown["filters"], "layer").len()), (2, 2));
    assert!(all(&shown["maps"], "layer").contains(&"q1"), "{:?}", all(&shown["maps"], "layer"));

    // Nothing is fetched from the network.
    let rest = page.replace("\"http://www.w3.org/2000/svg\"", "");
    for word in ["http:", "https:", "src=", "@import", "url(", "import(", "fetch("] {
        assert!(!rest.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'") && page.matches("<script").count() == 2);

    let files = contents(&dir.join("plots"));
    let names = |extension: &str| {
        let named = files.keys().filter(|path| path.extension().is_some_and(|found| found == extension));
        named.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    for name in ["loss", "accuracy", "learning-rate", "images-per-second", "confusion-fast", "confusion-slow--b-"] {
        assert!(names("svg").contains(&name.to_string()), "{name} is not in {files:?}", files = names("svg"));
    }
    for picture in ["filters-fast-conv1", "feature-maps-fast-q1"] {
        assert!(names("png").contains(&picture.to_string()), "{picture} is not in {:?}", names("png"));
    }
    assert!(names("svg").iter().all(|name| names("png").contains(name)), "each plot is an SVG and a PNG");
    assert!(printed.contains(&format!("{} plots and images written to plots", names("png").len())), "{printed}");
    for (path, bytes) in &files {
        let whole = if path.extension().unwrap() == "svg" {
            String::from_utf8(bytes.clone()).unwrap().trim_end().ends_with("</svg>")
        } else {
            image::load_from_memory(bytes).unwrap().width() > 10
        };
        assert!(whole, "{}", path.display());
    }
}

#[test]
fn a_run_of_any_state_is_shown() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    run(dir, &["train", "--adapter", "cpu", "--steps", "2", "--out", "run"]);
    let metrics = dir.join("run/metrics.jsonl");
    let before = fs::read_to_string(&metrics).unwrap();
    let step = before.lines().next().unwrap();
    let states = [
        ("", Value::Null),
        (step, Value::Null),
        ("{\"step\":1,\"epoch\":1,\"loss\":null,\"lr\":0.1}\n{\"step\":2,\"epo", Value::Null),
        ("{\"epoch\":1,\"test_accuracy\":0.5,\"images_per_s\":null}\n", serde_json::json!([1, 0.5])),
    ];
    for (rows, best) in states {
        fs::write(&metrics, rows).unwrap();
        run(dir, &["report", "run", "run/../run", "--adapter", "cpu", "--out", "page.html", "--plots", "plots"]);
        let (_, shown) = read(&dir.join("page.html"));
        assert_eq!(shown["runs"][0]["best"], best, "{rows}");
        assert_eq!(all(&shown["runs"], "name"), ["run", "run/../run"], "names differ where folders do not");
        let diverged = shown["runs"][0]["state"] == "diverged at step 1";
        assert_eq!(diverged, rows.contains("null,\"lr\""), "{rows}");
    }
}

#[test]
fn a_run_is_shown_without_its_images() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for class in ["dark", "light"] {
        fs::create_dir_all(dir.join("pictures").join(class)).unwrap();
        for at in 0..10 {
            let grey = if class == "dark" { 20 } else { 220 };
            image::GrayImage::from_pixel(8, 8, image::Luma([grey]))
                .save(dir.join(format!("pictures/{class}/{at}.png")))
                .unwrap();
        }
    }
    let text = builtin("digits").unwrap().replace("classes = 10", "classes = 2").replace("units = 10", "units = 2");
    let text =
        text.replace("set = \"digits\"", "set = \"folder\"\ndir = \"pictures\"").replace("scale = [0.0625, -0.5]", "");
    fs::write(dir.join("my.toml"), text.replace("batch = 64", "batch = 8")).unwrap();
    run(dir, &["train", "my.toml", "--adapter", "cpu", "--steps", "2", "--out", "own"]);
    run(dir, &["train", "--adapter", "cpu", "--steps", "2", "--out", "digits"]);
    fs::rename(dir.join("pictures"), dir.join("elsewhere")).unwrap();

    let done = finish(command(dir, &["report", "own", "digits", "--adapter", "cpu", "--out", "page.html"]));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(
        done.err.contains("note: own is shown without its test images") && done.err.contains("--data-dir"),
        "{}",
        done.err
    );
    let (_, shown) = read(&dir.join("page.html"));
    assert!(shown["runs"][0]["untested"].as_str().unwrap().contains("there is no folder"), "{}", shown["runs"][0]);
    assert_eq!(shown["confusion"].as_array().unwrap().len(), 1);
    assert_eq!(all(&shown["filters"], "layer").len(), 2, "a checkpoint needs no images");

    let found = ["report", "own", "digits", "--adapter", "cpu", "--out", "page.html", "--data-dir", "elsewhere"];
    run(dir, &found);
    assert_eq!(read(&dir.join("page.html")).1["confusion"].as_array().unwrap().len(), 2);
    fails(dir, &["report", "digits", "--adapter", "cpu", "--data-dir", "elsewhere"], &["embedded"]);
}

#[test]
fn what_is_no_run_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    run(dir, &["train", "--adapter", "cpu", "--steps", "1", "--out", "run"]);
    fs::create_dir(dir.join("empty")).unwrap();
    fs::write(dir.join("file"), "words").unwrap();
    let report = |more: &[&'static str]| [&["report", "--adapter", "cpu"], more].concat();
    fails(dir, &report(&["run", "missing"]), &["missing: no such folder", "halfwave train"]);
    fails(dir, &report(&["file"]), &["file: not a folder"]);
    fails(dir, &report(&["run", "empty"]), &["empty holds no run", "none of its folders does", "halfwave train"]);
    // Among several runs, a damaged one is left out.
    fs::create_dir_all(dir.join("runs/cut")).unwrap();
    fs::copy(dir.join("run/run.json"), dir.join("runs/cut/run.json")).unwrap();
    fails(dir, &report(&["runs"]), &["none of these runs can be read"]);
    run(dir, &["train", "--adapter", "cpu", "--steps", "1", "--out", "runs/whole"]);
    let done = finish(command(dir, &report(&["runs"])));
    assert!(done.code == Some(0) && done.out.contains("report written to runs/report.html"), "{}", done.err);
    assert!(done.err.starts_with("warning: left out: runs/cut holds no run"), "{}", done.err);
    fails(dir, &report(&["run", "--out", "nowhere/page.html"]), &["nowhere/page.html: no such file"]);
    fails(dir, &report(&["run", "--plots", "file"]), &["file is not a folder", "--plots"]);
    fails(dir, &["report", "run", "--adapter", "no such card"], &["no such card", "halfwave devices"]);
    let about = fs::read(dir.join("run/run.json")).unwrap();
    fs::write(dir.join("run/run.json"), "{}").unwrap();
    fails(dir, &report(&["run"]), &["run/run.json: not what halfwave train writes"]);
    fs::write(dir.join("run/run.json"), about).unwrap();
    fs::write(dir.join("run/metrics.jsonl"), "words\n").unwrap();
    fails(dir, &report(&["run"]), &["run/metrics.jsonl:1: neither"]);
    fs::write(dir.join("run/metrics.jsonl"), "").unwrap();
    fs::write(dir.join("run/checkpoint.safetensors"), "words").unwrap();
    fails(dir, &report(&["run"]), &["run/checkpoint.safetensors: this is a text file, not a safetensors file"]);
}

/// A file of a run stands for the run, and a folder of runs may contain sweeps.
#[test]
fn a_report_finds_the_runs_of_sweeps_and_of_files() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    run(dir, &["train", "--adapter", "cpu", "--steps", "1"]);
    let sweep = |batches| run(dir, &["sweep", "digits", "--set", batches, "--steps", "1", "--adapter", "cpu"]);
    sweep("train.batch=[4, 8]");
    let report = |given: &str| -> Value {
        serde_json::from_str(&run(dir, &["report", given, "--adapter", "cpu", "--json", "-q"])).unwrap()
    };
    let found = report("runs");
    assert_eq!(all(&found["runs"], "name"), ["digits-1", "batch=4-seed0", "batch=8-seed0"]);
    let found = report("runs/digits-1/run.json");
    assert_eq!(
        (all(&found["runs"], "name"), found["report"].as_str()),
        (vec!["digits-1"], Some("runs/digits-1/report.html"))
    );
    // A table without several numbers has no plot of them.
    let plot = dir.join("runs/digits-sweep/by-value.png");
    assert!(plot.exists());
    sweep("train.batch=[4]");
    assert!(!plot.exists() && !plot.with_extension("svg").exists());
}
