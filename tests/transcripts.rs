//! What the program prints, word for word: the transcripts in `tests/transcripts` are run again, and
//! compared. `docs/testing.md` says how to update them.
#![cfg(target_os = "linux")] // messages of the system, and a shell
#![allow(clippy::unwrap_used)] // a test may panic

use std::path::Path;
use trycmd::TestCases;
use trycmd::schema::Bin;

/// Programs that the transcripts use besides `halfwave`: without them trycmd would skip their lines.
const PROGRAMS: [&str; 4] = ["cat", "ls", "sed", "sh"];

#[test]
fn the_program_prints_what_the_transcripts_say() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let cases = TestCases::new();
    for program in PROGRAMS {
        let found = ["/bin", "/usr/bin"].map(|dir| Path::new(dir).join(program));
        let found = found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| panic!("there is no {program}"));
        cases.register_bin(program, Bin::Path(found));
    }
    for (name, value) in [
        ("HOME", home),
        ("HALFWAVE_CACHE_DIR", home),
        ("CIFAR10_DIR", ""),
        ("RUST_LOG", ""),
        ("LC_ALL", "C"),
        // The width of help.
        ("COLUMNS", "100"),
        // A machine without a GPU.
        ("VK_DRIVER_FILES", "none"),
        ("VK_ICD_FILENAMES", "none"),
    ] {
        cases.env(name, value);
    }
    cases.case("tests/transcripts/*.md");
}
