//! Processes of an MPI job that train one network together: `mpirun -n 4 halfwave train …`.

#[cfg(feature = "mpi")]
mod job;
#[cfg(not(feature = "mpi"))]
mod without;

#[cfg(feature = "mpi")]
pub(super) use job::Group;
#[cfg(not(feature = "mpi"))]
pub(super) use without::Group;

use halfwave::{Error, Result};
use std::collections::HashSet;
use std::env;

/// A launcher that has started this process as one of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Launcher {
    /// One that connects processes by MPI: `mpirun`, or `srun` with PMI-2 or PMIx.
    Mpi,
    /// `srun` without either.
    Slurm,
    /// PyTorch's `torchrun`.
    Torch,
}

impl Launcher {
    /// How to start processes that are connected.
    fn advice(self) -> &'static str {
        match self {
            Self::Mpi => "use the mpirun of the MPI that halfwave was built with",
            Self::Slurm => {
                "use srun --mpi=pmix (srun --mpi=list shows what there is), or unset SLURM_STEP_NUM_TASKS if each is to train by itself"
            }
            Self::Torch => "torchrun connects only PyTorch's; use mpirun -n N halfwave train …",
        }
    }
}

/// The launcher, and the number of processes that it has started, if they are several.
fn launched() -> Option<(Launcher, usize)> {
    launched_by(|name| env::var(name).ok())
}

fn launched_by(variable: impl Fn(&str) -> Option<String>) -> Option<(Launcher, usize)> {
    let number = |name: &str| variable(name)?.parse::<usize>().ok();
    // Open MPI; MPICH, and Slurm with PMI-2; Slurm with PMIx.
    let pmix = || variable("PMIX_RANK").and_then(|_| number("SLURM_NTASKS"));
    let mpi = number("OMPI_COMM_WORLD_SIZE").or_else(|| number("PMI_SIZE")).or_else(pmix);
    let slurm = || number("SLURM_STEP_NUM_TASKS").filter(|_| number("SLURM_PROCID").is_some());
    let torch = || number("WORLD_SIZE").filter(|_| number("LOCAL_RANK").is_some());
    let found = mpi.map(|count| (Launcher::Mpi, count));
    let found = found.or_else(|| Some((Launcher::Slurm, slurm()?))).or_else(|| Some((Launcher::Torch, torch()?)));
    found.filter(|&(_, count)| count > 1)
}

/// Joins the job that this process was started in; `None` if it trains alone.
///
/// # Errors
///
/// Returns an error if it was started in a job that it cannot join.
pub(super) fn join() -> Result<Option<Group>> {
    launched().map(|(launcher, count)| Group::join(launcher, count)).transpose()
}

/// Checks that this is the only process, for commands of which several would do the same.
///
/// # Errors
///
/// Returns an error if it is one of several.
pub(super) fn alone() -> Result<()> {
    launched().map_or(Ok(()), |(_, count)| {
        Err(Error::Usage(format!(
            "{count} processes were started, but only halfwave train works with several; start this command without a launcher such as mpirun or srun"
        )))
    })
}

/// Summarises the devices of ranks, such as "3 ranks (2 × NVIDIA H200, 1 × AMD Radeon RX 7900 XTX)".
pub(super) fn describe(devices: &[String], hosts: &[String]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for device in devices {
        match counts.iter_mut().find(|(known, _)| known == device) {
            Some((_, count)) => *count += 1,
            None => counts.push((device, 1)),
        }
    }
    let parts: Vec<_> = counts.iter().map(|(device, count)| format!("{count} × {device}")).collect();
    let computers = hosts.iter().collect::<HashSet<_>>().len();
    let on = if computers > 1 { format!(" on {computers} computers") } else { String::new() };
    format!("{} ranks{on} ({})", devices.len(), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_known_by_their_variables() {
        let found = |set: &[(&str, &str)]| {
            launched_by(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("OMPI_COMM_WORLD_SIZE", "1")]), None);
        assert_eq!(found(&[("OMPI_COMM_WORLD_SIZE", "4"), ("SLURM_STEP_NUM_TASKS", "1")]), Some((Launcher::Mpi, 4)));
        assert_eq!(found(&[("PMI_SIZE", "2")]), Some((Launcher::Mpi, 2)));
        let srun = [("SLURM_NTASKS", "8"), ("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_PROCID", "3")];
        assert_eq!(found(&srun), Some((Launcher::Slurm, 8)));
        assert_eq!(found(&[&srun[..], &[("PMIX_RANK", "3")]].concat()), Some((Launcher::Mpi, 8)));
        // A batch script of Slurm, which runs once.
        assert_eq!(found(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]), None);
        assert_eq!(found(&[("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")]), Some((Launcher::Torch, 2)));
    }

    #[test]
    fn devices_are_counted() {
        let text = |devices: &[&str], hosts: &[&str]| {
            let [devices, hosts] =
                [devices, hosts].map(|all| all.iter().map(|name| name.to_string()).collect::<Vec<_>>());
            describe(&devices, &hosts)
        };
        assert_eq!(text(&["cpu", "cpu"], &["a", "a"]), "2 ranks (2 × cpu)");
        assert_eq!(text(&["H200", "XTX", "H200"], &["a", "b", "a"]), "3 ranks on 2 computers (2 × H200, 1 × XTX)");
    }
}
