//! Ranks that are the processes of an MPI job: `mpirun -n 4 halfwave train …`.

use super::Communicator;
use crate::error::{Error, Result};
use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

/// A process's connection to an MPI job, which ends when this value is dropped.
pub struct Job {
    universe: Universe,
}

/// The processes of the job on one machine, as one of them sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The number of this process among them, counted from 0.
    pub rank: usize,
    /// How many they are.
    pub ranks: usize,
}

impl Job {
    /// Joins the job that this process was started in; outside of `mpirun` a job of one process.
    ///
    /// # Errors
    ///
    /// Returns an error if MPI is initialised already.
    pub fn join() -> Result<Self> {
        match mpi::initialize_with_threading(Threading::Funneled) {
            Some((universe, _)) => Ok(Self { universe }),
            None => Err(Error::Device("MPI is initialised already; a process can join only once".into())),
        }
    }

    /// The processes of the job on this machine.
    pub fn neighbours(&self) -> Neighbours {
        let world = self.universe.world();
        let local = world.split_shared(world.rank());
        Neighbours { rank: local.rank() as usize, ranks: local.size() as usize }
    }

    /// The ranks of the job. To be used by one thread.
    pub fn ranks(&self) -> Box<dyn Communicator> {
        Box::new(World { world: self.universe.world() })
    }

    /// Ends all processes of the job with an exit code.
    pub fn abort(&self, code: u8) -> ! {
        self.universe.world().abort(i32::from(code))
    }
}

struct World {
    world: SimpleCommunicator,
}

/// Lengths of messages, and where each begins in a buffer of all.
fn layout(lens: &[i32]) -> Vec<i32> {
    lens.iter().scan(0, |next, len| Some(std::mem::replace(next, *next + len))).collect()
}

/// The length of a message in MPI's type.
fn count(len: usize) -> Result<i32> {
    i32::try_from(len).map_err(|_| Error::Device(format!("a message of {len} words is too long for MPI")))
}

/// Divides a buffer into messages of these lengths.
fn divided(buffer: &[u32], lens: &[i32]) -> Vec<Vec<u32>> {
    let starts = layout(lens);
    starts.iter().zip(lens).map(|(&start, &len)| buffer[start as usize..(start + len) as usize].to_vec()).collect()
}

fn total(lens: &[i32]) -> usize {
    lens.iter().map(|&len| len as usize).sum()
}

impl Communicator for World {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn ranks(&self) -> usize {
        self.world.size() as usize
    }

    fn gather(&mut self, message: &[u32]) -> Result<Vec<Vec<u32>>> {
        let mut lens = vec![0; self.ranks()];
        self.world.all_gather_into(&count(message.len())?, &mut lens[..]);
        let (starts, mut all) = (layout(&lens), vec![0u32; total(&lens)]);
        self.world.all_gather_varcount_into(message, &mut PartitionMut::new(&mut all[..], &lens[..], &starts[..]));
        Ok(divided(&all, &lens))
    }

    fn exchange(&mut self, messages: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        let sent: Vec<i32> = messages.iter().map(|message| count(message.len())).collect::<Result<_>>()?;
        let mut received = vec![0; self.ranks()];
        self.world.all_to_all_into(&sent[..], &mut received[..]);
        let (outgoing, mut incoming) = (messages.concat(), vec![0u32; total(&received)]);
        let (sent_starts, starts) = (layout(&sent), layout(&received));
        self.world.all_to_all_varcount_into(
            &Partition::new(&outgoing[..], &sent[..], &sent_starts[..]),
            &mut PartitionMut::new(&mut incoming[..], &received[..], &starts[..]),
        );
        Ok(divided(&incoming, &received))
    }
}
