//! The version of halfwave, and where a result comes from.

use serde::{Deserialize, Serialize};

/// Version of the crate, such as `0.2.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Start of the hash of the commit that a release build was made from, if known.
pub const COMMIT: Option<&str> = option_env!("HALFWAVE_COMMIT");

/// Version and commit, such as `0.2.0 (4f1d2c3b5a69)`.
pub const DESCRIPTION: &str = env!("HALFWAVE_VERSION");

/// Where a result comes from, besides halfwave's version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify), tsify(missing_as_null))]
#[serde(default)]
pub struct Origin {
    /// [`COMMIT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The command line of the process: the program's name and its arguments; empty in a browser.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Name of the computer; none in a browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Origin {
    /// Returns the origin of this process's results.
    pub fn here() -> Self {
        Self { commit: COMMIT.map(String::from), ..process() }
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn process() -> Origin {
    let mut command: Vec<_> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    // Where the program is installed does not matter.
    if let Some(program) = command.first_mut()
        && let Some(name) = std::path::Path::new(program.as_str()).file_stem()
    {
        *program = name.to_string_lossy().into_owned();
    }
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    Origin { commit: None, command, host: Some(host).filter(|host| !host.is_empty()) }
}

#[cfg(target_arch = "wasm32")]
fn process() -> Origin {
    Origin::default()
}
