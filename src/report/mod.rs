//! Pages in one file: a comparison of several runs, and a profile.
mod layers;
mod page;
mod pictures;
mod profile;
mod recipes;
mod runs;

pub use profile::profile_page;
pub use runs::{Report, RunSummary, Shown, Tested};
