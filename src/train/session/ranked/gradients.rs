//! The exchange of gradients in few bits, and of votes on flips: what each rank sends, receives, and runs on its
//! device ([`crate::pass::exchange`]).

use super::{Arriving, Purpose, Session};
use crate::backend::PlanId;
use crate::error::{Error, Result};
use crate::model::{Layout, Parameter, Role};
use crate::ops::Graph;
use crate::ops::compress::{BLOCK, Format, blocks};
use crate::pass::exchange::{self, Gradient, MESSAGE, RECEIVED, RESIDUAL};
use crate::recipe::Exchange;
use crate::tensor::Tensor;
use std::ops::Range;

impl From<Exchange> for Option<Format> {
    fn from(exchange: Exchange) -> Self {
        match exchange {
            Exchange::F32 => None,
            Exchange::F16 => Some(Format::Half),
            Exchange::Int8 => Some(Format::Byte),
            Exchange::Sign => Some(Format::Sign),
        }
    }
}

impl Session {
    /// The gradient of a parameter that is exchanged in few bits: a weight, or the votes on its flips. Other parameters
    /// are few, and sensitive.
    pub(in crate::train::session) fn compressible(&self, parameter: &Parameter) -> Option<Gradient> {
        let (ty, is_weight) = (parameter.ty(), matches!(parameter.role, Role::Weight { .. }));
        let format = match self.optimizer.votes(parameter.binary()) {
            true => Some(Format::Vote),
            false => self.format.filter(|_| is_weight && ty.words() >= BLOCK),
        };
        Some(Gradient {
            name: parameter.name.clone(),
            layer: parameter.layer.clone(),
            ty,
            channels: if let Layout::Filters { channels, .. } = parameter.layout { Some(channels) } else { None },
            format: format?,
        })
    }

    /// The blocks of each gradient of a bucket that a rank sums.
    fn blocks_of(&self, bucket: usize, rank: usize) -> Vec<Range<usize>> {
        let share = |len: usize| self.ranks.as_ref().map_or(0..len, |ranks| ranks.share_of(len, rank));
        self.buckets[bucket].compressed.iter().map(|gradient| share(blocks(&gradient.ty))).collect()
    }

    /// The graph of a part of a bucket's exchange.
    pub(in crate::train::session) fn exchange_graph(&self, purpose: Purpose, bucket: usize) -> Result<Graph> {
        let gradients = &self.buckets[bucket].compressed;
        match purpose {
            Purpose::Compress => exchange::compress(gradients, &self.optimizer, self.ranks()),
            Purpose::Merge => exchange::merge(gradients, &self.own_blocks(bucket), self.ranks()),
            _ => exchange::unpack(gradients),
        }
    }

    /// Plans of a step's exchange whose nodes check numbers, in the order of their ranks in the fault word.
    pub(in crate::train::session) fn checking(&self) -> impl Iterator<Item = (Purpose, usize)> + use<> {
        let compressed = |at: &usize| !self.buckets[*at].compressed.is_empty();
        let buckets: Vec<_> = (0..self.buckets.len()).filter(compressed).collect();
        let of = move |purpose| buckets.clone().into_iter().map(move |at| (purpose, at));
        [Purpose::Compress, Purpose::Merge].into_iter().flat_map(of)
    }

    /// Loads the plans by which this rank votes, because they have the state of weights that flip.
    pub(in crate::train::session) async fn load_votes(&mut self) -> Result<()> {
        for (purpose, bucket) in self.checking().filter(|(purpose, _)| *purpose == Purpose::Compress) {
            self.plan_for(purpose, bucket).await?;
        }
        Ok(())
    }

    /// Number of nodes that are checked after a plan of a step, besides those of the update after a micro-batch.
    pub(in crate::train::session) fn behind(&self, purpose: Purpose, bucket: usize) -> Result<usize> {
        let (before, update) = match purpose {
            Purpose::Micro { .. } => (Some(0), None),
            purpose => {
                let before = self.checking().position(|plan| plan == (purpose, bucket)).map(|at| at + 1);
                (before, self.plans.get(&(Purpose::Update, 0)))
            }
        };
        let Some(before) = before else { return Ok(0) };
        let update = update.map_or(0, |&id| self.backend.plan(id).nodes.len());
        let nodes = |(purpose, bucket)| Ok(self.exchange_graph(purpose, bucket)?.nodes().len());
        self.checking().skip(before).map(nodes).sum::<Result<usize>>().map(|exchange| exchange + update)
    }

    /// Compresses a bucket's gradients, and starts copying the messages to the host.
    pub(in crate::train::session) async fn start_compressed(&mut self, bucket: usize) -> Result<Vec<Arriving>> {
        if self.buckets[bucket].compressed.is_empty() {
            return Ok(Vec::new());
        }
        self.run_compressing(Purpose::Compress, bucket).await
    }

    /// Exchanges a bucket's messages, and starts summing the blocks that are this rank's.
    pub(in crate::train::session) async fn exchange_compressed(
        &mut self,
        bucket: usize,
        messages: Vec<Vec<u32>>,
    ) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let block_words = self.block_words(bucket);
        // To each rank the blocks that it sums, of one gradient after the other.
        let to = |rank: usize| {
            let parts = self.blocks_of(bucket, rank).into_iter().zip(&block_words).zip(&messages);
            parts.flat_map(|((part, block), message)| message[part.start * block..part.end * block].to_vec()).collect()
        };
        let outgoing: Vec<Vec<u32>> = (0..self.ranks()).map(to).collect();
        let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
        let incoming = ranks.exchange(&outgoing.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let own = self.own_blocks(bucket);
        if own.iter().all(Range::is_empty) {
            self.underway.sums.push((bucket, Vec::new()));
            return Ok(());
        }
        // Of each gradient the blocks of all ranks.
        let merge = self.plan_for(Purpose::Merge, bucket).await?;
        let mut at = 0;
        for (index, part) in own.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            let len = part.len() * block_words[index];
            let words = incoming.iter().flat_map(|message| message[at..at + len].iter().copied()).collect();
            self.put_padded(merge, &format!("{RECEIVED}{index}"), words);
            at += len;
        }
        let copies = self.run_compressing(Purpose::Merge, bucket).await?;
        self.underway.sums.push((bucket, copies));
        Ok(())
    }

    /// Sends this rank's sums to all others, and replaces the gradients by the sums of all ranks.
    pub(in crate::train::session) async fn finish_compressed(&mut self) -> Result<()> {
        for (bucket, copies) in std::mem::take(&mut self.underway.sums) {
            let block_words = self.block_words(bucket);
            let own = self.own_blocks(bucket).into_iter().zip(&block_words).filter(|(part, _)| !part.is_empty());
            let mut message = Vec::new();
            for ((part, block), copy) in own.zip(copies) {
                message.extend(&copy.await?[..part.len() * block]);
            }
            let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
            let all = ranks.gather(&message)?;
            let unpack = self.plan_for(Purpose::Unpack, bucket).await?;
            let mut rest: Vec<&[u32]> = all.iter().map(Vec::as_slice).collect();
            for (index, block) in block_words.into_iter().enumerate() {
                let mut words = Vec::new();
                for (rank, rest) in rest.iter_mut().enumerate() {
                    let (part, others) = rest.split_at(self.blocks_of(bucket, rank)[index].len() * block);
                    words.extend(part);
                    *rest = others;
                }
                self.put_padded(unpack, &format!("{RECEIVED}{index}"), words);
            }
            self.backend.write(unpack, "micro", &Tensor::from_f32(&[4], &[0.0; 4]).words);
            self.backend.run(unpack)?;
        }
        Ok(())
    }

    /// Forgets what messages have omitted so far.
    pub(in crate::train::session) fn clear_residuals(&mut self) {
        let ids: Vec<_> = self.checking().filter_map(|plan| self.plans.get(&plan).copied()).collect();
        for id in ids {
            let plan = self.backend.plan(id);
            let residuals = plan.state.iter().filter(|port| port.name.starts_with(RESIDUAL));
            let residuals: Vec<_> = residuals.map(|port| (port.name.clone(), port.place.stored().words())).collect();
            residuals.iter().for_each(|(name, words)| self.backend.write(id, name, &vec![0; *words]));
        }
    }

    /// Words of a block of each gradient of a bucket.
    fn block_words(&self, bucket: usize) -> Vec<usize> {
        self.buckets[bucket].compressed.iter().map(|gradient| gradient.format.block_words()).collect()
    }

    fn own_blocks(&self, bucket: usize) -> Vec<Range<usize>> {
        self.blocks_of(bucket, self.ranks.as_ref().map_or(0, |ranks| ranks.rank()))
    }

    /// Writes an input that is shorter than its storage.
    fn put_padded(&mut self, id: PlanId, port: &str, mut words: Vec<u32>) {
        let len = self.backend.plan(id).port(port).map_or(0, |port| port.place.stored().words());
        words.resize(len, 0);
        self.backend.write(id, port, &words);
    }

    /// Runs a plan that compresses, and starts copying its messages, in the order of gradients.
    async fn run_compressing(&mut self, purpose: Purpose, bucket: usize) -> Result<Vec<Arriving>> {
        let id = self.plan_for(purpose, bucket).await?;
        let rank = self.ranks.as_ref().map_or(0, |ranks| ranks.rank());
        self.write_random(id, rank);
        self.backend.run(id)?;
        let ports = (0..self.buckets[bucket].compressed.len()).map(|index| format!("{MESSAGE}{index}"));
        let ports: Vec<_> = ports.filter(|port| self.backend.plan(id).port(port).is_some()).collect();
        Ok(ports.iter().map(|port| self.backend.read(id, port)).collect())
    }
}
