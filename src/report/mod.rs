//! Pages in one file: a comparison of several runs, a profile, and the difference between two.
mod layers;
mod page;
mod pictures;
mod profile;
mod recipes;
mod runs;

pub use page::check_replaced;
pub use profile::{comparison_page, profile_page};
pub use runs::{Report, RunSummary, Shown, Tested};
