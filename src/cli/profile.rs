//! `halfwave profile`: where the time and the memory of a training step go.

use super::device::{self, Opened};
use super::load;
use super::terminal::{print, say};
use super::{AdapterArgs, plan};
use halfwave::profile::Profile;
use halfwave::train::Session;
use halfwave::{Error, Result, files};
use std::path::PathBuf;

/// Show where the time and the memory of a training step go, kernel by kernel.
#[derive(clap::Args)]
pub(super) struct ProfileArgs {
    /// A recipe's file or the name of a built-in one [default: digits]
    recipe: Option<String>,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Steps to measure: every number is the median of so many
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    steps: u32,
    /// Images in a step, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Write the profile as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn profile(args: &ProfileArgs) -> Result<()> {
    let (mut recipe, name) = load::recipe(args.recipe.as_deref())?;
    recipe.train.batch = args.batch.map_or(recipe.train.batch, |batch| batch as usize);
    say(&plan::describe(&recipe, &name)?);
    let Opened { backend, device } = device::open(args.adapter.adapter.as_deref())?;
    let mut session = pollster::block_on(Session::new(&recipe, backend, false))?;
    let measured = pollster::block_on(session.measure(args.steps as usize, |_| ()))?;
    let profile = Profile::new(&name, recipe.train.batch, session.plan(), device, &measured);
    match &args.json {
        Some(path) => files::replace(path, profile.to_json().as_bytes()),
        None => print(&profile.to_json()),
    }
    .map_err(|error: Error| error)
}
