//! The exchange between ranks in a step, after the gradients of this rank's images have been computed
//! and before the update: gradients, the loss, running statistics of batch-norms, faults.

use super::{Session, states};
use crate::error::{Error, Result};
use crate::kernel::FAULT;
use crate::model::Parameter;
use crate::pass::ACCUMULATED;
use crate::tensor::LANES;
use crate::train::evaluate::ImageResult;

impl Session {
    /// Completes the exchange of a step on `of` images after its last part: replaces gradients and loss by their sums
    /// over all ranks, and running statistics by their means, unless they are equal because batch-norms are
    /// synchronised; a fault of one rank becomes one of all.
    ///
    /// # Errors
    ///
    /// Returns an error if the device or the connection to another rank is lost.
    pub(in crate::train::session) async fn exchange(&mut self, of: usize) -> Result<()> {
        let computed = !self.share(of).is_empty();
        while self.underway.ready < self.buckets.len() {
            self.make_ready(computed).await?;
        }
        self.exchange_ready(self.buckets.len()).await?;
        self.finish_compressed().await?;
        let mut names = vec![(format!("{ACCUMULATED}loss"), 1.0)];
        let averaged = self.parameters.iter().filter(|parameter| !parameter.trained() && !parameter.counts());
        let averaged: Vec<_> = averaged.map(|parameter| parameter.name.clone()).collect();
        let ranks = self.ranks.as_ref().map_or(1, |ranks| ranks.ranks());
        match self.synchronised {
            false => names.extend(averaged.into_iter().map(|name| (name, 1.0 / ranks as f32))),
            true => self.complete(&averaged, of).await?,
        }
        // All copies are started before the first one is waited for.
        let arriving: Vec<_> = names.iter().map(|(name, _)| self.get(name)).collect();
        let fault = self.get(FAULT);
        let (mut numbers, mut lens) = (Vec::<f32>::new(), Vec::new());
        for (copy, (name, _)) in arriving.into_iter().zip(&names) {
            let words = copy.await?;
            lens.push(words.len());
            let skipped = !computed && name.starts_with(ACCUMULATED);
            numbers.extend(words.iter().map(|&word| if skipped { 0.0 } else { f32::from_bits(word) }));
        }
        let fault = fault.await?[0];
        let diverged = std::mem::take(&mut self.underway).diverged;
        let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
        ranks.sum(&mut numbers)?;
        let common = ranks.agree(fault)?;
        // Whatever a rank finds in its rows later, all of them end here.
        if common != 0 || diverged || numbers.iter().any(|number| !number.is_finite()) {
            ranks.end();
        }
        let mut at = 0;
        for ((name, factor), len) in names.iter().zip(lens) {
            let words: Vec<u32> = numbers[at..at + len].iter().map(|value| (value * factor).to_bits()).collect();
            self.put(name, &words);
            at += len;
        }
        if common != fault {
            self.put(FAULT, &[common; LANES]);
        }
        if self.stopping() { self.average_votes().await } else { Ok(()) }
    }

    /// Replaces the state by which ranks vote on flips by its mean over all ranks, which is that of one process that
    /// computes the whole batch. It is then equal everywhere, so that a checkpoint of one rank is one of all.
    ///
    /// # Errors
    ///
    /// Returns an error if the device or the connection to another rank is lost.
    pub(in crate::train) async fn average_votes(&mut self) -> Result<()> {
        let optimizer = &self.optimizer;
        let voted = self.parameters.iter().filter(|parameter| optimizer.votes(parameter.binary()));
        let states = |parameter: &Parameter| {
            states(optimizer, parameter).iter().map(|state| format!("{state}/{}", parameter.name)).collect::<Vec<_>>()
        };
        for name in voted.flat_map(states).collect::<Vec<_>>() {
            let mut numbers: Vec<f32> = bytemuck::cast_vec(self.get(&name).await?);
            let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
            ranks.sum(&mut numbers)?;
            let factor = 1.0 / ranks.ranks() as f32;
            let words: Vec<u32> = numbers.iter().map(|sum| (sum * factor).to_bits()).collect();
            self.put(&name, &words);
        }
        Ok(())
    }

    /// Replaces running statistics by those of a rank that has taken part in all rounds of a step on `of` images, if a
    /// rank has not.
    async fn complete(&mut self, names: &[String], of: usize) -> Result<()> {
        let ranks = self.ranks.as_ref().map_or(1, |ranks| ranks.ranks());
        let rounds: Vec<_> = (0..ranks).map(|rank| self.parts_of(of, rank).len()).collect();
        let most = rounds.iter().copied().max().unwrap_or(0);
        let source =
            rounds.iter().position(|&taken| taken == most).filter(|_| rounds.iter().any(|&taken| taken < most));
        let Some(source) = source else { return Ok(()) };
        let mut words = Vec::new();
        if self.ranks.as_ref().is_some_and(|ranks| ranks.rank() == source) {
            for name in names {
                words.extend(self.get(name).await?);
            }
        }
        let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
        let words = ranks.gather(&words)?.swap_remove(source);
        let mut rest = &words[..];
        for name in names {
            let (own, others) = rest.split_at(self.words_of(name));
            self.put(name, own);
            rest = others;
        }
        Ok(())
    }

    /// The results of all ranks for the images that each has evaluated, with their labels, in the
    /// order of ranks.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection to another rank is lost.
    pub(in crate::train) fn gather_results(
        &mut self,
        labels: Vec<u32>,
        results: Vec<ImageResult>,
    ) -> Result<(Vec<u32>, Vec<ImageResult>)> {
        let Some(ranks) = &mut self.ranks else { return Ok((labels, results)) };
        let words = labels.iter().zip(results);
        let words: Vec<u32> = words.flat_map(|(&label, result)| result.to_words(label)).collect();
        let all = ranks.gather(&words)?.concat();
        Ok(all.as_chunks().0.iter().map(|&words| ImageResult::from_words(words)).unzip())
    }
}
