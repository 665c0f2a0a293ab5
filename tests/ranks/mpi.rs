//! Processes started by `mpirun`: the program trains what connected threads train, and ends cleanly when
//! a process fails or is killed.

use crate::program::{Done, command, ended, finish};
use crate::{recipe, train};
use halfwave::recipe::Recipe;
use halfwave::train::metrics::{Row, StepRow};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Time in which every process must have ended after one was killed.
const END: Duration = Duration::from_secs(30);

/// `mpirun` with this many processes of the program; more than there are cores, and as root in containers.
fn mpirun(dir: &Path, ranks: usize, args: &[&str]) -> Command {
    let mut mpirun = Command::new("mpirun");
    mpirun.args(["--oversubscribe", "--allow-run-as-root", "--timeout", "300", "-n", &ranks.to_string()]);
    mpirun.arg(command(dir, &[]).get_program()).args(args).current_dir(dir).env_remove("RUST_LOG");
    // A container may not allow reading another process's memory, which is only faster.
    mpirun.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    mpirun.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    mpirun
}

/// Trains the recipe of the tests in a new folder `out`.
fn trained(dir: &Path, ranks: usize, out: &str, more: &[&str]) -> Done {
    fs::write(dir.join("ranks.toml"), recipe("").to_toml()).unwrap();
    let args = [&["train", "ranks.toml", "--adapter", "cpu", "--plain", "--out", out][..], more].concat();
    finish(mpirun(dir, ranks, &args))
}

fn losses(dir: &Path) -> Vec<f32> {
    let rows = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let rows = rows.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.filter_map(|row| if let Row::Step(StepRow { loss, .. }) = row { Some(loss) } else { None }).collect()
}

#[test]
fn processes_train_what_threads_train() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let done = trained(dir, 2, "two", &[]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    // One process reports, and writes one run.
    assert_eq!(done.out.matches("test accuracy").count(), 1, "{}", done.out);
    assert_eq!(losses(&dir.join("two")), train(&recipe(""), 2, 21, None)[0].losses);
    let about: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("two/run.json")).unwrap()).unwrap();
    assert_eq!(about["ranks"], serde_json::json!(["cpu", "cpu"]), "{about}");
    // What each process has sent in a step, per epoch.
    let rows = fs::read_to_string(dir.join("two/metrics.jsonl")).unwrap();
    let rows: Vec<Row> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ranks = rows.iter().filter_map(|row| if let Row::Epoch(row) = row { Some(&row.ranks) } else { None });
    for ranks in ranks {
        let model = recipe("").model.parameters().unwrap();
        let floats: usize = model.iter().map(|parameter| parameter.ty().bytes()).sum();
        // Gradients, loss, and a few words.
        assert!(
            ranks.len() == 2 && ranks.iter().all(|rank| rank.exchange_s > 0.0 && rank.exchange_s < rank.seconds),
            "{ranks:?}"
        );
        let near = |bytes: u64| (floats as u64..floats as u64 + 100).contains(&bytes);
        assert!(ranks.iter().all(|rank| near(rank.bytes_per_step)), "{ranks:?} for {floats}");
    }
    assert!(done.err.contains("2 ranks, ") || done.out.contains("2 ranks, "), "{}{}", done.out, done.err);
    // The run is an ordinary one, and continues with another number of processes.
    let resume = ["train", "--resume", "two", "--epochs", "4", "--adapter", "cpu", "--plain"];
    let done = finish(mpirun(dir, 3, &resume));
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert_eq!(losses(&dir.join("two")).len(), 28);
    let done = finish(command(dir, &["eval", "two", "--adapter", "cpu"]));
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
}

#[test]
fn an_error_of_one_process_ends_all() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fs::write(dir.join("ranks.toml"), recipe("").to_toml()).unwrap();
    // The second process has another recipe, which does not exist.
    let good = ["train", "ranks.toml", "--adapter", "cpu", "--plain", "--out", "out"];
    let mut both = mpirun(dir, 1, &good);
    both.args([":", "--oversubscribe", "-n", "1"]).arg(command(dir, &[]).get_program()).args(["train", "other.toml"]);
    let done = finish(both);
    assert_ne!(done.code, Some(0));
    assert!(done.err.contains("error: rank 1 of 2: other.toml"), "{}", done.err);
}

#[test]
fn divergence_is_reported_once() {
    let base = tempfile::tempdir().unwrap();
    let done = trained(base.path(), 2, "out", &["--set", "train.optimizer.lr=1e30"]);
    assert_ne!(done.code, Some(0));
    assert_eq!(done.err.matches("training has diverged").count(), 1, "{}", done.err);
}

/// The processes of the program that this process has started through `mpirun`.
fn children(of: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut found: Vec<u32> = all.filter(|&pid| parent(pid) == Some(of)).collect();
    found.sort_unstable();
    found
}

#[test]
fn a_killed_process_ends_all_and_is_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let long = Recipe {
        train: halfwave::recipe::Train { length: halfwave::recipe::Length::Epochs(100_000), ..recipe("").train },
        ..recipe("")
    };
    fs::write(dir.join("long.toml"), long.to_toml()).unwrap();
    let args = ["train", "long.toml", "--adapter", "cpu", "--plain", "--out", "run"];
    let mpirun = mpirun(dir, 3, &args).spawn().unwrap();
    let begun = Instant::now();
    // Until an epoch is complete, and so a checkpoint is there.
    let saved = || fs::read_to_string(dir.join("run/metrics.jsonl")).is_ok_and(|rows| rows.contains("test_accuracy"));
    while !saved() {
        assert!(begun.elapsed() < Duration::from_secs(300), "no epoch is completed");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ranks = children(mpirun.id());
    assert_eq!(ranks.len(), 3);
    let killed = Instant::now();
    assert!(Command::new("kill").args(["-9", &ranks[1].to_string()]).status().unwrap().success());
    let done = ended(mpirun);
    assert_ne!(done.code, Some(0));
    assert!((done.out + &done.err).contains("rank 1"), "mpirun names the process");
    let alive = || ranks.iter().filter(|pid| Path::new(&format!("/proc/{pid}/stat")).exists()).collect::<Vec<_>>();
    while !alive().is_empty() && killed.elapsed() < END {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(killed.elapsed() < END, "{:?} still run after {:?}", alive(), killed.elapsed());
    // The last checkpoint is complete, and the run can be resumed.
    let done = finish(command(dir, &["eval", "run", "--adapter", "cpu"]));
    assert_eq!(done.code, Some(0), "{}", done.err);
}
