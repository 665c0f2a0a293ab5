//! A process of an MPI job.

use super::Launcher;
use crate::cli::device::{self, Opened};
use crate::cli::interrupt;
use crate::cli::terminal::{self, Status, print_message};
use halfwave::data::Dataset;
use halfwave::recipe::Recipe;
use halfwave::stop::Stop;
use halfwave::train::Trainer;
use halfwave::train::ranks::mpi::{Job, Neighbours};
use halfwave::{Error, Result};
use std::thread;
use std::time::Duration;

/// This process's place in the job.
pub(in crate::cli) struct Group {
    job: Job,
    rank: usize,
    ranks: usize,
    neighbours: Neighbours,
}

impl Group {
    pub(super) fn join(launcher: Launcher, launched: usize) -> Result<Self> {
        let job = Job::join()?;
        let communicator = job.ranks();
        let (rank, ranks, neighbours) = (communicator.rank(), communicator.ranks(), job.neighbours());
        // The processes of another MPI's launcher do not find each other.
        if ranks != launched {
            return Err(Error::Usage(format!(
                "{launched} processes were started, but MPI connects {ranks}; {}",
                launcher.advice()
            )));
        }
        if rank > 0 {
            terminal::set_status(Status::Off);
            log::set_max_level(log::LevelFilter::Error);
        }
        Ok(Self { job, rank, ranks, neighbours })
    }

    /// Whether this process writes the run's folder and reports progress.
    pub(in crate::cli) fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Prints an error, and ends all processes of the job.
    pub(in crate::cli) fn fail(&self, error: &Error) -> ! {
        // What all ranks find is printed by the first one, which ends the others by then.
        if !self.leads() {
            thread::sleep(Duration::from_millis(300));
        }
        print_message("error", &format_args!("rank {} of {}: {error}", self.rank, self.ranks));
        self.job.abort(1)
    }

    /// Ends all processes of the job after a panic. MPI would otherwise wait for them.
    pub(in crate::cli) fn abort(&self) -> ! {
        self.job.abort(101)
    }

    /// Opens this process's device: `wanted`, or else the GPUs of its computer in turn. Processes on the
    /// CPU backend divide the cores.
    pub(in crate::cli) fn open(&self, wanted: Option<&str>) -> Result<Opened> {
        let Neighbours { rank, ranks } = self.neighbours;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // This fails only if there is a pool already, and then nothing can be changed.
        let _ = rayon::ThreadPoolBuilder::new().num_threads((cores / ranks).max(1)).build_global();
        let (choice, gpus) = device::choose_in_turn(wanted, rank)?;
        if rank == 0 && (1..ranks).contains(&gpus) {
            print_message(
                "warning",
                &format_args!("{ranks} ranks share {gpus} GPUs of this computer; start one rank per GPU"),
            );
        }
        let request = choice.request();
        let mut opened = choice.open(request)?;
        // All ranks stop after the same step; one that stopped by itself would leave the others waiting.
        opened.backend.stop_by(Stop::default());
        Ok(opened)
    }

    /// Creates this process's trainer.
    pub(in crate::cli) fn trainer(&self, recipe: Recipe, data: Dataset, opened: Opened) -> Result<Trainer> {
        pollster::block_on(Trainer::with_ranks(recipe, data, opened.backend, self.job.ranks(), interrupt::stop()))
    }

    /// Waits until all processes have come here.
    pub(in crate::cli) fn wait(&self) -> Result<()> {
        self.job.ranks().gather(&[]).map(drop)
    }
}
