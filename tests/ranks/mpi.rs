//! Processes started by `mpirun`: the program trains what connected threads train, and ends cleanly when
//! a process fails or is killed. `HALFWAVE_TEST_PROGRAM` and `HALFWAVE_TEST_MPIRUN` name a program built with another
//! MPI, and that MPI's launcher.

use crate::program::{Done, command_of, ended, finish};
use crate::{recipe, train};
use halfwave::recipe::Recipe;
use halfwave::train::metrics::{Row, StepRow};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs};

/// Time in which every process must have ended after one was killed.
const END: Duration = Duration::from_secs(30);
/// Seconds after which a job counts as hanging.
const HANGING: &str = "300";

/// The MPI whose launcher starts the processes. Their launchers have little in common beyond `-n` and `:`.
#[derive(Clone, Copy, PartialEq)]
enum Mpi {
    Open,
    /// Its launcher, Hydra, starts the processes through another one. It says that a process was killed, but not which
    /// rank: the number it prints (PID) is, in version 4.0, that of the first process on the computer, whichever was killed.
    Mpich,
}

/// The launcher to test with: that of the MPI which the program was built with.
fn launcher() -> String {
    env::var("HALFWAVE_TEST_MPIRUN").unwrap_or("mpirun".into())
}

/// The program that the launcher starts.
fn program() -> PathBuf {
    env::var_os("HALFWAVE_TEST_PROGRAM").map_or(env!("CARGO_BIN_EXE_halfwave").into(), PathBuf::from)
}

fn mpi() -> Mpi {
    static MPI: OnceLock<Mpi> = OnceLock::new();
    *MPI.get_or_init(|| {
        let version = Command::new(launcher()).arg("--version").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        match version {
            _ if version.contains("Open MPI") => Mpi::Open,
            _ if version.contains("HYDRA") => Mpi::Mpich,
            _ => panic!("{} is neither Open MPI's launcher nor MPICH's: {version}", launcher()),
        }
    })
}

/// The program in a folder, as a single process.
fn alone(dir: &Path, args: &[&str]) -> Command {
    command_of(&program(), dir, args)
}

/// The launcher with this many processes of the program, more than there are cores.
fn mpirun(dir: &Path, ranks: usize, args: &[&str]) -> Command {
    let mut mpirun = Command::new(launcher());
    match mpi() {
        Mpi::Open => {
            // As root in containers.
            mpirun.args(["--oversubscribe", "--allow-run-as-root", "--timeout", HANGING]);
            // A container may not allow reading another process's memory, which is only faster.
            mpirun.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
        }
        // It allows both without options.
        Mpi::Mpich => {
            mpirun.env("MPIEXEC_TIMEOUT", HANGING);
        }
    }
    mpirun.args(["-n", &ranks.to_string()]).arg(program()).args(args).current_dir(dir).env_remove("RUST_LOG");
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
    let rank = format!("{}: cpu", about["host"].as_str().unwrap());
    assert_eq!(about["ranks"], serde_json::json!([rank, rank]), "{about}");
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
    let said = done.out + &done.err;
    assert!(
        said.contains("training on 2 ranks (2 × cpu), batch of 32, 16 per rank") && said.contains("2 ranks: "),
        "{said}"
    );
    // The run is an ordinary one, and continues with another number of processes.
    let resume = ["train", "--resume", "two", "--epochs", "4", "--adapter", "cpu", "--plain"];
    let done = finish(mpirun(dir, 3, &resume));
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert_eq!(losses(&dir.join("two")).len(), 28);
    let done = finish(alone(dir, &["eval", "two", "--adapter", "cpu"]));
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
    both.arg(":").args((mpi() == Mpi::Open).then_some("--oversubscribe"));
    both.args(["-n", "1"]).arg(program()).args(["train", "other.toml"]);
    let done = finish(both);
    assert_ne!(done.code, Some(0));
    assert!(done.err.contains("error: rank 1 of 2: other.toml"), "{}", done.err);
}

/// Ranks that train something else, or go on from something else, would not notice it later.
#[test]
fn all_processes_train_the_same() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let done = trained(dir, 2, "run", &["--steps", "2"]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    let begin = ["train", "ranks.toml", "--adapter", "cpu", "--plain", "--out", "other"];
    let resume = ["train", "--resume", "run", "--adapter", "cpu", "--plain", "--steps", "4"];
    let cases: [(Vec<&str>, Vec<&str>, &str); 4] = [
        (begin.into(), [&begin[..], &["--seed", "3"]].concat(), "train.seed is 3, not 0"),
        (begin.into(), [&begin[..], &["--set", "data.limit=150"]].concat(), "data.limit is 150, not 200"),
        (begin.into(), [&begin[..], &["--init", "run"]].concat(), "the hash of the weights is "),
        (begin.into(), resume.into(), "start all of them with the same command"),
    ];
    for (first, second, part) in cases {
        let mut both = mpirun(dir, 1, &first);
        both.arg(":").args((mpi() == Mpi::Open).then_some("--oversubscribe"));
        both.args(["-n", "1"]).arg(program()).args(&second);
        let done = finish(both);
        assert_ne!(done.code, Some(0), "{second:?}");
        assert!(done.err.contains("error: rank ") && done.err.contains(part), "{second:?}: {}{}", done.out, done.err);
        let _ = fs::remove_dir_all(dir.join("other"));
    }
}

#[test]
fn commands_for_one_process_refuse_several() {
    let base = tempfile::tempdir().unwrap();
    let done = finish(mpirun(base.path(), 2, &["eval", "run"]));
    assert_ne!(done.code, Some(0));
    assert!(done.err.contains("only halfwave train works with several"), "{}", done.err);
}

#[test]
fn divergence_is_reported_once() {
    let base = tempfile::tempdir().unwrap();
    let done = trained(base.path(), 2, "out", &["--set", "train.optimizer.lr=1e30"]);
    assert_ne!(done.code, Some(0));
    assert_eq!(done.err.matches("training has diverged").count(), 1, "{}", done.err);
}

/// The processes of the program below this process, in the order of their ranks.
fn ranks_below(launcher: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = all.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut below = vec![launcher];
    let mut at = 0;
    while let Some(&of) = below.get(at) {
        below.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| pid));
        at += 1;
    }
    let program = program().canonicalize().unwrap();
    below.retain(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program));
    below.sort_unstable();
    below
}

#[test]
fn a_killed_process_ends_all() {
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
    let ranks = ranks_below(mpirun.id());
    assert_eq!(ranks.len(), 3);
    let killed = Instant::now();
    assert!(Command::new("kill").args(["-9", &ranks[1].to_string()]).status().unwrap().success());
    let done = ended(mpirun);
    assert_ne!(done.code, Some(0));
    let told = match mpi() {
        Mpi::Open => "rank 1",
        Mpi::Mpich => "Killed (signal 9)",
    };
    let said = done.out + &done.err;
    assert!(said.contains(told), "the launcher says what has ended the job: {said}");
    let alive = || ranks.iter().filter(|pid| Path::new(&format!("/proc/{pid}/stat")).exists()).collect::<Vec<_>>();
    while !alive().is_empty() && killed.elapsed() < END {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(killed.elapsed() < END, "{:?} still run after {:?}", alive(), killed.elapsed());
    // The last checkpoint is complete, and the run can be resumed.
    let done = finish(alone(dir, &["eval", "run", "--adapter", "cpu"]));
    assert_eq!(done.code, Some(0), "{}", done.err);
}
