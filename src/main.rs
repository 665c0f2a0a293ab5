//! The command `halfwave`.

#[cfg(not(target_arch = "wasm32"))]
mod cli;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

/// A browser has no command line: the library is used there.
#[cfg(target_arch = "wasm32")]
fn main() {}
