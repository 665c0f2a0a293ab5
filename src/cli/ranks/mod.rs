//! Processes of an MPI job that train one network together: `mpirun -n 4 halfwave train …`.

#[cfg(feature = "mpi")]
mod job;
#[cfg(not(feature = "mpi"))]
mod without;

#[cfg(feature = "mpi")]
pub(super) use job::Group;
#[cfg(not(feature = "mpi"))]
pub(super) use without::Group;

use halfwave::Result;
use std::env;

/// The number of processes in the job that this process was started in, if a launcher started it.
fn launched() -> Option<usize> {
    let number = |name: &str| env::var(name).ok()?.parse::<usize>().ok();
    // Open MPI; MPICH, and Slurm with PMI-2; Slurm with PMIx.
    let pmix = || env::var_os("PMIX_RANK").and_then(|_| number("SLURM_NTASKS"));
    number("OMPI_COMM_WORLD_SIZE").or_else(|| number("PMI_SIZE")).or_else(pmix)
}

/// Joins the job that this process was started in; `None` if it trains alone.
///
/// # Errors
///
/// Returns an error if it was started in a job that it cannot join.
pub(super) fn join() -> Result<Option<Group>> {
    launched().filter(|&ranks| ranks > 1).map(Group::join).transpose()
}
