//! Data-parallel training: several processes, the *ranks*, train one network together. Each computes
//! the gradients of its share of every step's images; the gradients are summed over all ranks, and
//! every rank performs the same update, so that all weights stay equal.
//!
//! **Invariants:** sums over ranks are added in the order of ranks, so a run with a given number of
//! ranks is reproducible to the bit. Random numbers belong to an image's position in the step, so
//! augmentation, dropout and stochastic rounding of activations do not depend on the number of ranks.
//! Every decision that ends or continues a loop is made of values that all ranks share.

#![cfg_attr(target_arch = "wasm32", allow(dead_code))] // browsers are no ranks

pub(super) mod agreement;
#[cfg(feature = "mpi")]
pub mod mpi;

use super::metrics::RankRow;
use crate::error::{Error, Result};
use crate::stop::Stop;
use crate::version::Origin;
use std::ops::Range;
use web_time::Instant;

/// Communication between ranks. All ranks call the same methods in the same order.
pub trait Communicator {
    /// The number of this rank, counted from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn ranks(&self) -> usize;

    /// Sends a message to all ranks, and returns those of all ranks, in their order. Messages may have
    /// different lengths.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection to another rank is lost.
    fn gather(&mut self, message: &[u32]) -> Result<Vec<Vec<u32>>>;

    /// Sends a message to each rank, in their order, and returns those received, in the order of their
    /// senders.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection to another rank is lost.
    fn exchange(&mut self, messages: &[&[u32]]) -> Result<Vec<Vec<u32>>>;
}

/// Returns the part of `len` things that belongs to a rank: consecutive ones, and as many as those of
/// any other rank, or one more or less.
pub fn share(len: usize, rank: usize, ranks: usize) -> Range<usize> {
    len * rank / ranks..len * (rank + 1) / ranks
}

/// What a rank has spent on exchanges.
#[derive(Clone, Copy, Default)]
struct Spent {
    /// Bytes that it has sent.
    sent: u64,
    /// Seconds.
    seconds: f64,
    /// Those of them for the statistics of batch-norms.
    batch_norms: f64,
}

/// A session's connection to the other ranks.
pub(super) struct Ranks {
    communicator: Box<dyn Communicator>,
    stop: Stop,
    /// Whether all ranks end after this step.
    stopping: bool,
    /// What this rank has spent on exchanges, also at the start of an epoch.
    spent: Spent,
    begun: Spent,
    /// The devices of all ranks.
    devices: Vec<String>,
    /// The names of their computers.
    hosts: Vec<String>,
}

impl Ranks {
    /// Connects a session on this device; `stop` asks all ranks to stop after the current step.
    pub(super) fn new(mut communicator: Box<dyn Communicator>, device: &str, stop: Stop) -> Result<Self> {
        let mut names = |name: &str| {
            let words: Vec<u32> = name.bytes().map(u32::from).collect();
            let text = |words: Vec<u32>| {
                String::from_utf8_lossy(&words.iter().map(|&word| word as u8).collect::<Vec<_>>()).into_owned()
            };
            Ok::<_, Error>(communicator.gather(&words)?.into_iter().map(text).collect())
        };
        let (devices, hosts) = (names(device)?, names(&Origin::here().host.unwrap_or_default())?);
        let spent = Spent::default();
        Ok(Self { communicator, stop, stopping: false, spent, begun: spent, devices, hosts })
    }

    /// The names of the ranks' computers, in their order.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The devices of all ranks, in their order.
    pub(super) fn devices(&self) -> &[String] {
        &self.devices
    }

    /// The part of `len` things that belongs to this rank.
    pub(super) fn share(&self, len: usize) -> Range<usize> {
        self.share_of(len, self.rank())
    }

    /// The part of `len` things that belongs to a rank.
    pub(super) fn share_of(&self, len: usize, rank: usize) -> Range<usize> {
        share(len, rank, self.ranks())
    }

    /// The number of this rank.
    pub(super) fn rank(&self) -> usize {
        self.communicator.rank()
    }

    /// Number of ranks.
    pub(super) fn ranks(&self) -> usize {
        self.communicator.ranks()
    }

    /// Whether all ranks end after the last step: a rank was asked to stop, or training has diverged.
    pub(super) fn stopping(&self) -> bool {
        self.stopping
    }

    /// Ends training after this step, for a reason that all ranks know.
    pub(super) fn end(&mut self) {
        self.stopping = true;
    }

    /// Bytes that this rank has sent to others.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.spent.sent
    }

    /// The words of all ranks, in their order.
    pub(super) fn gather(&mut self, words: &[u32]) -> Result<Vec<Vec<u32>>> {
        self.spent.sent += bytes(words.len() * (self.ranks() - 1));
        let started = Instant::now();
        let all = self.communicator.gather(words);
        self.spent.seconds += started.elapsed().as_secs_f64();
        all
    }

    /// The same for the statistics of a batch-norm.
    pub(super) fn gather_statistics(&mut self, words: &[u32]) -> Result<Vec<Vec<u32>>> {
        let before = self.spent.seconds;
        let all = self.gather(words);
        self.spent.batch_norms += self.spent.seconds - before;
        all
    }

    /// Starts counting anew what [`Ranks::rows`] reports.
    pub(super) fn begin(&mut self) {
        self.begun = self.spent;
    }

    /// What each rank has exchanged since the last call of [`Ranks::begin`], in `steps` steps, which took this rank
    /// `seconds`.
    pub(super) fn rows(&mut self, steps: u64, seconds: f64) -> Result<Vec<RankRow>> {
        let (spent, begun) = (self.spent, self.begun);
        let sent = (spent.sent - begun.sent).checked_div(steps).unwrap_or(0);
        let times = [seconds, spent.seconds - begun.seconds, spent.batch_norms - begun.batch_norms].map(f64::to_bits);
        let numbers = [sent, times[0], times[1], times[2]];
        let all = self.gather(&numbers.map(|number| [number as u32, (number >> 32) as u32]).concat())?;
        let row = |words: &Vec<u32>| {
            let number = |at: usize| u64::from(words[2 * at]) | u64::from(words[2 * at + 1]) << 32;
            let [seconds, exchange_s, batch_norm_s] = [1, 2, 3].map(|at| f64::from_bits(number(at)));
            RankRow { bytes_per_step: number(0), seconds, exchange_s, batch_norm_s }
        };
        Ok(all.iter().map(row).collect())
    }

    /// Sends a message to each rank, and returns those received, in the order of their senders.
    pub(super) fn exchange(&mut self, messages: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        let own = messages[self.rank()].len();
        self.spent.sent += bytes(messages.iter().map(|message| message.len()).sum::<usize>() - own);
        let started = Instant::now();
        let all = self.communicator.exchange(messages);
        self.spent.seconds += started.elapsed().as_secs_f64();
        all
    }

    /// Exchanges whether a rank was asked to stop, and the largest of the ranks' fault words.
    pub(super) fn agree(&mut self, fault: u32) -> Result<u32> {
        let all = self.gather(&[u32::from(self.stop.asked()), fault])?;
        self.stopping = all.iter().any(|words| words[0] != 0);
        Ok(all.iter().map(|words| words[1]).max().unwrap_or(0))
    }

    /// Sums numbers over all ranks, each in the order of ranks.
    ///
    /// Every rank adds up an equal part of the numbers and sends the sums to all others, so that 2·(1
    /// − 1/ranks) times the numbers are sent, the least possible.
    pub(super) fn sum(&mut self, numbers: &mut [f32]) -> Result<()> {
        let (len, ranks) = (numbers.len(), self.ranks());
        let words: &[u32] = bytemuck::cast_slice(numbers);
        let parts: Vec<_> = (0..ranks).map(|rank| &words[share(len, rank, ranks)]).collect();
        let mut received = self.exchange(&parts)?.into_iter();
        let mut sums: Vec<f32> = received.next().map_or(Vec::new(), bytemuck::cast_vec);
        for part in received {
            let part: Vec<f32> = bytemuck::cast_vec(part);
            sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        let all = self.gather(bytemuck::cast_slice(&sums))?;
        let mut at = 0;
        for part in all {
            numbers[at..at + part.len()].copy_from_slice(bytemuck::cast_slice(&part));
            at += part.len();
        }
        Ok(())
    }
}

fn bytes(words: usize) -> u64 {
    4 * words as u64
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_consecutive_and_alike() {
        for (len, ranks) in [(128, 4), (29, 4), (3, 5), (0, 2), (7, 1)] {
            let shares: Vec<_> = (0..ranks).map(|rank| share(len, rank, ranks)).collect();
            assert_eq!(shares.iter().cloned().flatten().collect::<Vec<_>>(), (0..len).collect::<Vec<_>>());
            let lens = || shares.iter().map(ExactSizeIterator::len);
            assert!(lens().max().unwrap() - lens().min().unwrap() <= 1, "{len} things of {ranks} ranks");
        }
    }
}
