//! The environment of the command: wgpu's variables and the choice of the device, options without a
//! command, paths that a shell would split, readers that close their end.
use super::{command, common, fails, finish, run};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const VARIABLES: [&str; 3] = ["WGPU_BACKEND", "WGPU_ADAPTER_NAME", "WGPU_POWER_PREF"];

/// Returns `halfwave` with these variables, on the first driver known to the tests.
fn with(dir: &Path, variables: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = command(dir, args);
    for name in VARIABLES {
        command.env_remove(name);
    }
    if let Some((_, icd)) = common::drivers().first() {
        command.env("VK_DRIVER_FILES", icd).env("VK_ICD_FILENAMES", icd);
    }
    command.envs(variables.iter().copied());
    command
}

/// Every command that selects an adapter.
const COMMANDS: [&[&str]; 5] = [
    &["--steps", "1", "--plain", "--out", "run"],
    &["train", "--steps", "1", "--plain", "--out", "run"],
    &["profile", "--steps", "1"],
    &["selftest", "--device-class", "gpu"],
    &["devices", "--ceilings"],
];

#[cfg(target_os = "linux")]
#[test]
fn what_a_variable_asks_for_is_named_where_it_cannot_be_done() {
    let base = tempfile::tempdir().unwrap();
    for args in COMMANDS.into_iter().chain([&["devices"][..], &["experiment", "low-bit", "--plain"]]) {
        for (variable, value, parts) in [
            ("WGPU_BACKEND", "vulkann", &["there is no backend \"vulkann\"", "with vulkan: set it"][..]),
            ("WGPU_BACKEND", "gl", &["this build does not have it", "vulkan, metal or dx12", "with vulkan: set it"]),
            ("WGPU_BACKEND", "dx12,metal", &["this build does not have it"]),
            ("WGPU_POWER_PREF", "medium", &["low, high or none"]),
            ("WGPU_ADAPTER_NAME", "nosuchcard", &["no adapter has that in its name; there are: ", "and cpu"]),
        ] {
            let done = finish(with(base.path(), &[(variable, value)], args));
            let last = done.err.lines().next_back().unwrap_or_default();
            assert_eq!(done.code, Some(1), "{args:?} {value}: {}{}", done.out, done.err);
            assert!(last.starts_with(&format!("error: {variable}={value}: ")), "{args:?}: {}", done.err);
            assert!(parts.iter().all(|part| last.contains(part)), "{args:?}: {last}");
            assert_eq!(done.err.matches("error").count(), 1, "{args:?}: {}", done.err);
        }
    }
    assert!(fs::read_dir(base.path()).unwrap().next().is_none(), "something was written");
    // The option takes precedence over any value of the variable.
    let wrong = [("WGPU_BACKEND", "vulkann"), ("WGPU_ADAPTER_NAME", "nosuchcard")];
    let done = finish(with(base.path(), &wrong, &["--adapter", "cpu", "--steps", "1", "--out", "run"]));
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
}

/// For machines without a GPU; does nothing if there is one.
#[cfg(target_os = "linux")]
#[test]
fn a_software_adapter_computes_where_it_is_named_alone() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let ask = |variables: &[(&str, &str)], args: &[&str]| {
        let done = finish(with(dir, variables, args));
        assert_eq!(done.code, Some(0), "{args:?}: {}{}", done.out, done.err);
        (done.out, done.err)
    };
    let (listed, _) = ask(&[], &["devices"]);
    let first = listed.lines().nth(1).unwrap_or_default();
    if common::drivers().is_empty() || !first.contains("software") {
        return;
    }
    let name: String = first.trim_start_matches('0').trim().chars().take_while(|c| !"( ".contains(*c)).collect();
    assert!(listed.contains("without --adapter: cpu (no GPU was found)"), "{listed}");
    let train = ["train", "--steps", "1", "--plain"];

    let (out, err) = ask(&[], &train);
    assert!(out.contains("training on the CPU backend"), "{out}");
    let note = format!(
        "note: no GPU was found: computing with the CPU backend, which is faster than the software adapter {name}"
    );
    assert!(err.starts_with(&note) && err.ends_with("(select it with --adapter 0)\n"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    let (_, err) = ask(&[("WGPU_BACKEND", "Vulkan,gl")], &train);
    assert!(err.starts_with("note: no GPU was found with WGPU_BACKEND=Vulkan,gl: computing with the CPU"), "{err}");

    let (out, err) = ask(&[], &[&train[..], &["--adapter", "0"]].concat());
    assert!(out.contains(&format!("training on {name}")) && err.is_empty(), "{out}{err}");
    let lower = name.to_lowercase();
    let (out, err) = ask(&[("WGPU_ADAPTER_NAME", &lower)], &train);
    assert!(out.contains(&format!("training on {name}")), "{out}");
    assert!(err.starts_with(&format!("note: WGPU_ADAPTER_NAME chooses {name}")), "{err}");
    let (out, _) = ask(&[("WGPU_ADAPTER_NAME", &lower)], &[&train[..], &["--adapter", "cpu"]].concat());
    assert!(out.contains("training on the CPU backend"), "{out}");
    let (out, _) = ask(&[("WGPU_ADAPTER_NAME", "cpu")], &train);
    assert!(out.contains("training on the CPU backend"), "{out}");

    let (out, _) = ask(&[("WGPU_ADAPTER_NAME", &lower), ("WGPU_BACKEND", "vk")], &["devices"]);
    assert!(out.contains("WGPU_BACKEND=vk: only adapters of this backend are listed"), "{out}");
    assert!(out.contains(&format!("without --adapter: 0, {name}")), "{out}");
    assert!(out.contains("(chosen by WGPU_ADAPTER_NAME)"), "{out}");
}

/// Mesa connects to Wayland while adapters are enumerated; a message of Wayland's library is not an
/// error of halfwave.
#[cfg(target_os = "linux")]
#[test]
fn a_missing_runtime_folder_is_not_halfwaves_error() {
    let base = tempfile::tempdir().unwrap();
    for dir in [None, Some(""), Some("relative"), Some("/tmp")] {
        let mut command = with(base.path(), &[], &["devices"]);
        // Newer versions of Mesa connect only if this is set.
        command.env("WAYLAND_DISPLAY", "wayland-0");
        command.env_remove("XDG_RUNTIME_DIR").envs(dir.map(|dir| ("XDG_RUNTIME_DIR", dir)));
        let done = finish(command);
        assert!(done.code == Some(0) && !done.err.contains("error"), "{dir:?}: {}", done.err);
    }
}

#[test]
fn halfwave_alone_takes_the_options_of_train() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    let out = run(dir, &["--adapter", "cpu", "--epochs", "1", "--plain", "--out", "a", "--seed", "7"]);
    assert!(out.contains("training on the CPU backend, batch of 64, into a\n") && out.contains("epoch 1/1"), "{out}");
    let other =
        run(dir, &["train", "digits", "--adapter", "cpu", "--epochs", "1", "--plain", "--out", "b", "--seed", "7"]);
    assert!(other.contains("into b\n"), "{other}");
    let checkpoint = |run: &str| fs::read(dir.join(run).join("checkpoint.safetensors")).unwrap();
    assert!(checkpoint("a") == checkpoint("b"), "the same run");
    assert!(run(dir, &["--adapter", "cpu", "--resume", "a", "--epochs", "2"]).contains("resuming a"));
    fails(dir, &["--adapter", "no such card"], &["no such card", "halfwave devices"]);
    fails(dir, &["--adapter", "cpu", "--data-dir", "."], &["embedded"]);
    for args in [
        &["--epochs", "0"][..],
        &["--epochs", "1", "--steps", "1"],
        &["--resume", "a", "--seed", "1"],
        &["--adapter", ""],
        // Options must follow the command that they belong to.
        &["--adapter", "cpu", "eval", "a"],
        &["--epochs", "1", "train"],
        &["--epochs", "1", "digits"],
    ] {
        let done = finish(command(dir, args));
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.err);
        assert!(done.err.starts_with("error: ") && done.err.contains("--help"), "{args:?}: {}", done.err);
    }
    let help = run(dir, &["--help"]);
    for part in
        ["Options without a command (same as for train):\n", "--epochs <N>", "--adapter <", "WGPU_ADAPTER_NAME=NAME"]
    {
        assert!(help.contains(part), "{part} is not in {help}");
    }
}

/// Executes the printed lines that start with `  halfwave ` in a shell.
#[cfg(unix)]
fn paste(dir: &Path, out: &str, more: &str) -> Vec<String> {
    let commands = out.lines().filter_map(|line| line.strip_prefix("  halfwave "));
    let run = |rest: &str| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("\"$0\" {rest} {more}"), env!("CARGO_BIN_EXE_halfwave")]).current_dir(dir);
        let done = finish({
            shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            shell
        });
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{rest} {more}: {}", done.out);
        done.out
    };
    commands.filter(|rest| !rest.contains("IMAGE")).map(run).collect()
}

#[cfg(unix)]
#[test]
fn printed_commands_can_be_pasted_whatever_a_folder_is_called() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    for name in ["c d", "it's größe", "$HOME & (co) [b] {c,d}*?~#!", "~", "line\nbreak a\"b`c\\", "-dash"] {
        let out = format!("--out={name}");
        let printed = run(dir, &["train", "--adapter", "cpu", "--steps", "1", "--plain", &out]);
        let pasted = paste(dir, &printed, "--adapter cpu");
        assert!(pasted.len() == 1 && pasted[0].contains("test accuracy"), "{name}: {printed}");
    }
    // Errors contain commands as well.
    let done = finish(command(dir, &["train", "--adapter", "cpu", "--out", "c d"]));
    assert!(done.err.contains("(--resume 'c d')"), "{}", done.err);
    let recipe = fs::read_to_string(dir.join("c d/recipe.toml")).unwrap();
    fs::write(dir.join("c d/recipe.toml"), recipe.replace("batch = 64", "batch = 32")).unwrap();
    let done = finish(command(dir, &["train", "--adapter", "cpu", "--resume", "c d"]));
    let command = "halfwave train 'c d/recipe.toml' --init 'c d/checkpoint.safetensors'";
    assert!(done.err.trim_end().ends_with(command), "{}", done.err);
}

/// `halfwave … | head -1`, and a closed standard output: no panic, no error message.
#[cfg(target_os = "linux")]
#[test]
fn readers_may_go_away_at_any_time() {
    let base = tempfile::tempdir().unwrap();
    let commands = [
        "--help",
        "plan",
        "plan vgg-small",
        "layers",
        "recipe --flat vgg-small",
        "devices",
        "shader",
        "experiment",
        "sweep --help",
        "--adapter cpu --steps 1",
        "train --help",
        "nonsense",
    ];
    for rest in commands {
        for script in [
            format!("\"$0\" {rest} | head -1 >/dev/null"),
            format!("\"$0\" {rest} 2>&1 | true"),
            format!("\"$0\" {rest} >&-"),
            format!("\"$0\" {rest} >/dev/null 2>&-"),
        ] {
            let mut shell = Command::new("bash");
            shell.args(["-c", &script, env!("CARGO_BIN_EXE_halfwave")]).current_dir(base.path());
            shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let done = finish(shell);
            assert!(!done.err.contains("panicked") && !done.err.contains("roken pipe"), "{script}: {}", done.err);
            assert!(done.code.is_some_and(|code| code < 3), "{script}: {:?}", done.code);
        }
    }
}
