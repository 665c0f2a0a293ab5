//! The command-line program `halfwave`.

#[cfg(not(target_arch = "wasm32"))]
mod cli;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

/// Browsers have no command line; they use the library.
#[cfg(target_arch = "wasm32")]
fn main() {}
