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
    /// Options of every call, and of the linking call, separated by spaces.
    options: &'static str,
    link: &'static str,
    /// File with the program's start and output, in `tests/export/c`.
    platform: &'static str,
    /// Command that runs the program; empty for the program itself.
    runs: &'static str,
}

/// Warnings are errors everywhere.
const STRICT: [&str; 5] = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-O2"];

pub(crate) const HOST: Target =
    Target { name: "host", compiler: "cc", options: "-std=c99", link: "-lm", platform: "hosted.c", runs: "" };

/// Undefined behaviour and accesses outside of arrays end the program.
pub(crate) const CHECKED: Target = Target {
    name: "host with sanitizers",
    options: "-std=c99 -g -fsanitize=address,undefined -fno-sanitize-recover=all",
    ..HOST
};

/// Without warnings, for programs that are wrong on purpose.
pub(crate) const UNCHECKED: Target = Target { name: "host without warnings", options: "-std=c99 -w", ..HOST };

/// The dialect in which GCC combines products and sums where the processor can.
pub(crate) const GNU: Target = Target { name: "host, gnu99", options: "-std=gnu99 -O3", ..HOST };

/// Clang, if it is there.
pub(crate) fn clang() -> Option<Target> {
    let names =
        ["clang", "clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15"];
    names.into_iter().find(|name| found(name)).map(|compiler| Target { name: "clang", compiler, ..HOST })
}

/// A Cortex-M4 with floating-point unit and 128 KiB of RAM.
const M4: Target = Target {
    name: "Cortex-M4",
    compiler: "arm-none-eabi-gcc",
    options: "-std=c99 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 \
              -ffreestanding -isystem freestanding",
    link: "-nostdlib -static -T cortex-m4.ld -lgcc",
    platform: "cortex-m4.c",
    runs: "qemu-system-arm -M mps2-an386 -display none -monitor none -serial none -chardev stdio,id=out \
           -semihosting-config enable=on,target=native,chardev=out -kernel",
};

const RISCV: Target = Target {
    name: "RISC-V",
    compiler: "riscv64-linux-gnu-gcc",
    options: "-std=c99 -march=rv64gc -mno-relax -ffreestanding -isystem freestanding",
    link: "-nostdlib -static -lgcc",
    platform: "riscv64.c",
    runs: "qemu-riscv64",
};

/// Microcontrollers and other instruction sets.
pub(crate) const CROSS: [Target; 5] = [
    M4,
    Target {
        name: "Cortex-M4, gnu99",
        options: "-std=gnu99 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 \
                  -ffreestanding -isystem freestanding",
        ..M4
    },
    Target {
        name: "Cortex-M4 without floating-point unit",
        options: "-std=c99 -mcpu=cortex-m4 -mthumb -mfloat-abi=soft -ffreestanding -isystem freestanding",
        ..M4
    },
    RISCV,
    Target {
        name: "RISC-V, gnu99",
        options: "-std=gnu99 -march=rv64gc -mno-relax -ffreestanding -isystem freestanding",
        ..RISCV
    },
];

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn found(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

impl Target {
    /// Whether its programs are there; a missing one is said, and a failure with `REQUIRE_CROSS=1`.
    pub(crate) fn is_there(&self) -> bool {
        let needed = [self.compiler, words(self.runs)[0]];
        let missing: Vec<_> = needed.into_iter().filter(|name| !found(name)).collect();
        let must = std::env::var("REQUIRE_CROSS").is_ok_and(|value| value == "1");
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
        fs::create_dir(dir.join("freestanding")).unwrap();
        for name in
            ["main.c", "platform.h", self.platform, "cortex-m4.ld", "freestanding/limits.h", "freestanding/math.h"]
        {
            fs::copy(sources.join(name), dir.join(name)).unwrap();
        }
        fs::write(dir.join("net.h"), &files.header).unwrap();
        fs::write(dir.join("net.c"), &files.source).unwrap();
        fs::write(dir.join("images.h"), as_header(images, images.len() / image)).unwrap();
        self.compile(dir, &["-c", "net.c", "-o", "net.o"]);
        let parts = ["main.c", self.platform, "net.o", "-o", "program"];
        self.compile(dir, &[&parts[..], &words(self.link)].concat());
        self.print_size(&dir.join("net.o"));
        let program = dir.join("program");
        let command = [&words(self.runs)[..], &[program.to_str().unwrap()]].concat();
        let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
        succeeded(self.name, &output);
        String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
    }

    fn compile(&self, dir: &Path, arguments: &[&str]) {
        let mut command = Command::new(self.compiler);
        command.current_dir(dir).args(STRICT).args(words(self.options)).args(arguments);
        succeeded(self.name, &command.output().unwrap());
    }

    /// Prints what the network takes of a cross compiler's target.
    fn print_size(&self, object: &Path) {
        let Some(prefix) = self.compiler.strip_suffix("-gcc") else { return };
        let output = Command::new(format!("{prefix}-size")).arg(object).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut numbers = text.lines().nth(1).unwrap().split_whitespace();
        let mut next = || numbers.next().unwrap();
        println!("{}: {} bytes of code and constants, {} of data, {} of memory", self.name, next(), next(), next());
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

/// Images as a C file.
fn as_header(images: &[u8], count: usize) -> String {
    let bytes: Vec<_> = images.iter().map(u8::to_string).collect();
    let lines: Vec<_> = bytes.chunks(20).map(|bytes| bytes.join(", ")).collect();
    let array = format!("static const uint8_t images[] = {{\n    {}\n}};\n", lines.join(",\n    "));
    format!("#include \"net.h\"\n\nenum {{ IMAGES = {count} }};\n\n{array}")
}

fn succeeded(name: &str, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let start: String = errors.chars().take(4000).collect();
    assert!(output.status.success(), "{name}: {}\n{start}", output.status);
}
