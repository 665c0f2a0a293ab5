//! Compilers for exported C, and the machines that run the programs.

use halfwave::export::CFiles;
use halfwave_infer::{Runner, largest};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A compiler with its options, and what runs its programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    compiler: &'static str,
    options: &'static [&'static str],
    /// File with the program's start and output, in `tests/export/c`.
    platform: &'static str,
    /// Command that runs the program; empty for the program itself.
    runs: &'static [&'static str],
}

/// Warnings are errors everywhere.
const STRICT: [&str; 5] = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-O2"];

const FREESTANDING: [&str; 4] = ["-ffreestanding", "-nostdlib", "-static", "-lgcc"];

pub(crate) const HOST: Target =
    Target { name: "host", compiler: "cc", options: &["-std=c99"], platform: "hosted.c", runs: &[] };

/// Undefined behaviour and accesses outside of arrays end the program.
pub(crate) const CHECKED: Target = Target {
    name: "host with sanitizers",
    options: &["-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    ..HOST
};

/// The dialect in which GCC combines products and sums where the processor can.
pub(crate) const GNU: Target = Target { name: "host, gnu99", options: &["-std=gnu99", "-O3"], ..HOST };

pub(crate) const CLANG: Target = Target { name: "clang", compiler: "clang", ..HOST };

const M4: Target = Target {
    name: "Cortex-M4",
    compiler: "arm-none-eabi-gcc",
    options: &["-std=c99", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-T", "cortex-m4.ld"],
    platform: "cortex-m4.c",
    runs: &[
        "qemu-system-arm",
        "-M",
        "mps2-an386",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "none",
        "-chardev",
        "stdio,id=out",
        "-semihosting-config",
        "enable=on,target=native,chardev=out",
        "-kernel",
    ],
};

const RISCV: Target = Target {
    name: "RISC-V",
    compiler: "riscv64-linux-gnu-gcc",
    options: &["-std=c99", "-march=rv64gc", "-mno-relax"],
    platform: "riscv64.c",
    runs: &["qemu-riscv64"],
};

/// Microcontrollers and other instruction sets.
pub(crate) const CROSS: [Target; 5] = [
    M4,
    Target {
        name: "Cortex-M4, gnu99",
        options: &[
            "-std=gnu99",
            "-mcpu=cortex-m4",
            "-mthumb",
            "-mfloat-abi=hard",
            "-mfpu=fpv4-sp-d16",
            "-T",
            "cortex-m4.ld",
        ],
        ..M4
    },
    Target {
        name: "Cortex-M4 without floating-point unit",
        options: &["-std=c99", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft", "-T", "cortex-m4.ld"],
        ..M4
    },
    RISCV,
    Target { name: "RISC-V, gnu99", options: &["-std=gnu99", "-march=rv64gc", "-mno-relax"], ..RISCV },
];

fn found(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

impl Target {
    /// Whether its programs are there; a missing one is said, and a failure with `REQUIRE_CROSS=1`
    /// if `required`.
    pub(crate) fn is_there(&self, required: bool) -> bool {
        let missing: Vec<_> = [Some(self.compiler), self.runs.first().copied()]
            .into_iter()
            .flatten()
            .filter(|name| !found(name))
            .collect();
        let must = required && std::env::var("REQUIRE_CROSS").is_ok_and(|value| value == "1");
        assert!(
            !must || missing.is_empty(),
            "REQUIRE_CROSS=1, but there is no {missing:?} (tools/install-test-deps.sh)"
        );
        if !missing.is_empty() {
            eprintln!("SKIPPED: {}: there is no {missing:?} (tools/install-test-deps.sh)", self.name);
        }
        missing.is_empty()
    }

    /// Compiles a network and images, and returns what the program prints.
    pub(crate) fn run(&self, files: &CFiles, images: &[u8], image: usize) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/c");
        for name in ["main.c", "platform.h", self.platform, "cortex-m4.ld"] {
            fs::copy(sources.join(name), dir.join(name)).unwrap();
        }
        fs::write(dir.join("net.h"), &files.header).unwrap();
        fs::write(dir.join("net.c"), &files.source).unwrap();
        let bytes: Vec<_> = images.iter().map(u8::to_string).collect();
        let lines: Vec<_> = bytes.chunks(20).map(|bytes| bytes.join(", ")).collect();
        let count = images.len() / image;
        let text = format!(
            "#include \"net.h\"\n\nenum {{ IMAGES = {count} }};\n\nstatic const uint8_t images[] = {{\n    {}\n}};\n",
            lines.join(",\n    ")
        );
        fs::write(dir.join("images.h"), text).unwrap();
        let mut compile = Command::new(self.compiler);
        compile.current_dir(dir).args(STRICT).args(self.options);
        let object = Command::new(self.compiler)
            .current_dir(dir)
            .args(STRICT)
            .args(self.options.iter().filter(|option| !["-T", "cortex-m4.ld"].contains(option)))
            .args(if self.platform == "hosted.c" { &[][..] } else { &["-ffreestanding"] })
            .args(["-c", "net.c", "-o", "net.o"])
            .output()
            .unwrap();
        succeeded(self.name, &object);
        compile.args(["main.c", self.platform, "net.o", "-o", "program"]);
        match self.platform {
            "hosted.c" => compile.arg("-lm"),
            _ => compile.args(FREESTANDING),
        };
        succeeded(self.name, &compile.output().unwrap());
        let size = Command::new(self.compiler.replace("gcc", "size")).arg(dir.join("net.o")).output();
        if let (true, Ok(size)) = (self.compiler.ends_with("-gcc"), size) {
            let text = String::from_utf8_lossy(&size.stdout).into_owned();
            let numbers = text.lines().nth(1).unwrap_or("").split_whitespace().take(3).collect::<Vec<_>>();
            println!("{}: code and constants, data, memory: {}", self.name, numbers.join(", "));
        }
        let program = dir.join("program");
        let output = match self.runs {
            [] => Command::new(program).output(),
            [first, rest @ ..] => Command::new(first).args(rest).arg(program).output(),
        };
        let output = output.unwrap();
        succeeded(self.name, &output);
        String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
    }

    /// Checks that the program of a network gives the bits of [`Runner`].
    pub(crate) fn agrees(&self, name: &str, files: &CFiles, runner: &Runner, images: &[u8]) {
        let classes = runner.network().classes.len();
        let lines = self.run(files, images, runner.network().input.len());
        let expected: Vec<String> = runner
            .batch(images, 2)
            .unwrap()
            .chunks_exact(classes)
            .map(|logits| {
                let bits: Vec<_> = logits.iter().map(|logit| format!("{:08x}", logit.to_bits())).collect();
                format!("{} {}", largest(logits), bits.join(" "))
            })
            .collect();
        assert!(lines.len() >= expected.len() + classes, "{name}, {}", self.name);
        for (at, (line, expected)) in lines.iter().zip(&expected).enumerate() {
            assert_eq!(line, expected, "{name}, {}: image {at}", self.name);
        }
    }
}

fn succeeded(name: &str, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let start: String = errors.chars().take(4000).collect();
    assert!(output.status.success(), "{name}: {}\n{start}", output.status);
}
