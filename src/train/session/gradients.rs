//! The exchange of gradients in few bits: what each rank sends, receives, and runs on its device
//! ([`crate::pass::exchange`]).

use super::{Purpose, Session};
use crate::backend::PlanId;
use crate::error::{Error, Result};
use crate::model::{Layout, Role};
use crate::ops::Graph;
use crate::ops::compress::{BLOCK, Format};
use crate::pass::ACCUMULATED;
use crate::pass::exchange::{self, Gradient, MESSAGE, RECEIVED, blocks_of};
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
    /// The gradients that are exchanged in few bits: those of weights. Others are few, and sensitive.
    pub(super) fn compressed(&self) -> Vec<Gradient> {
        let weights = self.parameters.iter().filter(|parameter| matches!(parameter.role, Role::Weight { .. }));
        let long = weights.filter(|weight| self.format.is_some() && weight.ty().words() >= BLOCK);
        let gradient = |weight: &crate::model::Parameter| Gradient {
            name: weight.name.clone(),
            layer: weight.layer.clone(),
            ty: weight.ty(),
            channels: if let Layout::Filters { channels, .. } = weight.layout { Some(channels) } else { None },
        };
        long.map(gradient).collect()
    }

    /// The blocks of each gradient that a rank sums.
    fn blocks_of(&self, gradients: &[Gradient], rank: usize) -> Vec<Range<usize>> {
        let share = |len: usize| self.ranks.as_ref().map_or(0..len, |ranks| ranks.share_of(len, rank));
        gradients.iter().map(|gradient| share(blocks_of(gradient))).collect()
    }

    /// The graph of a part of the exchange.
    pub(super) fn exchange_graph(&self, purpose: Purpose) -> Result<Graph> {
        let (gradients, format) = (self.compressed(), self.format.unwrap_or(Format::Half));
        match purpose {
            Purpose::Compress => exchange::compress(&gradients, format),
            Purpose::Merge => {
                let (rank, ranks) = self.ranks.as_ref().map_or((0, 1), |ranks| (ranks.rank(), ranks.ranks()));
                exchange::merge(&gradients, &self.blocks_of(&gradients, rank), format, ranks)
            }
            _ => exchange::unpack(&gradients, format),
        }
    }

    /// Number of nodes that check numbers after a plan for this purpose in a step, without those of the update.
    pub(super) fn behind(&self, purpose: Purpose) -> Result<usize> {
        if self.ranks.is_none() || self.format.is_none() {
            return Ok(0);
        }
        let nodes = |purpose| Ok::<_, Error>(self.exchange_graph(purpose)?.nodes().len());
        Ok(match purpose {
            Purpose::Micro { .. } => nodes(Purpose::Compress)? + nodes(Purpose::Merge)?,
            Purpose::Compress => nodes(Purpose::Merge)?,
            _ => 0,
        })
    }

    /// Replaces the gradients of weights by their sums over all ranks, exchanged in few bits. `computed` is false if
    /// this rank had no images in the step.
    ///
    /// # Errors
    ///
    /// Returns an error if the device or the connection to another rank is lost.
    pub(super) async fn exchange_compressed(&mut self, computed: bool) -> Result<()> {
        let (gradients, Some(format)) = (self.compressed(), self.format) else { return Ok(()) };
        if gradients.is_empty() {
            return Ok(());
        }
        if !computed {
            for Gradient { name, ty, .. } in &gradients {
                self.put(&format!("{ACCUMULATED}{name}"), &vec![0; ty.words()]);
            }
        }
        let mine = self.run_compressing(Purpose::Compress, &gradients).await?;
        let ranks = self.ranks.as_ref().map_or(1, |ranks| ranks.ranks());
        let block = format.block_words();
        let cut = |message: &[u32], part: &Range<usize>| message[part.start * block..part.end * block].to_vec();
        // To each rank the blocks that it sums, of one gradient after the other.
        let parts: Vec<_> = (0..ranks).map(|rank| self.blocks_of(&gradients, rank)).collect();
        let outgoing: Vec<Vec<u32>> = parts
            .iter()
            .map(|parts| parts.iter().zip(&mine).flat_map(|(part, (_, message))| cut(message, part)).collect())
            .collect();
        let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
        let own = &parts[ranks.rank()];
        let incoming = ranks.exchange(&outgoing.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        // Of each gradient the blocks of all ranks.
        let merge = self.plan_for(Purpose::Merge, 0).await?;
        let mut at = 0;
        for (index, part) in own.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            let len = part.len() * block;
            let words: Vec<u32> = incoming.iter().flat_map(|message| message[at..at + len].iter().copied()).collect();
            self.put_padded(merge, &format!("{RECEIVED}{index}"), words);
            at += len;
        }
        let merged = self.run_compressing(Purpose::Merge, &gradients).await?;
        let lens = merged.iter().map(|(index, _)| own[*index].len() * block);
        let message: Vec<u32> = merged.iter().zip(lens).flat_map(|((_, words), len)| words[..len].to_vec()).collect();
        let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
        let all = ranks.gather(&message)?;
        let unpack = self.plan_for(Purpose::Unpack, 0).await?;
        let mut starts = vec![0; all.len()];
        for index in 0..gradients.len() {
            let mut words = Vec::new();
            for (rank, message) in all.iter().enumerate() {
                let len = parts[rank][index].len() * block;
                words.extend(&message[starts[rank]..starts[rank] + len]);
                starts[rank] += len;
            }
            self.put_padded(unpack, &format!("{RECEIVED}{index}"), words);
        }
        self.backend.write(unpack, "micro", &Tensor::from_f32(&[4], &[0.0; 4]).words);
        self.backend.run(unpack)
    }

    /// Writes an input that is shorter than its storage.
    fn put_padded(&mut self, id: PlanId, port: &str, mut words: Vec<u32>) {
        let len = self.backend.plan(id).port(port).map_or(0, |port| port.place.stored().words());
        words.resize(len, 0);
        self.backend.write(id, port, &words);
    }

    /// Runs a plan that compresses, and returns its messages, each with the number of its gradient.
    async fn run_compressing(&mut self, purpose: Purpose, gradients: &[Gradient]) -> Result<Vec<(usize, Vec<u32>)>> {
        let id = self.plan_for(purpose, 0).await?;
        let rank = self.ranks.as_ref().map_or(0, |ranks| ranks.rank());
        self.write_random(id, rank);
        self.backend.run(id)?;
        let ports = |index: &usize| self.backend.plan(id).port(&format!("{MESSAGE}{index}")).is_some();
        let indices: Vec<_> = (0..gradients.len()).filter(ports).collect();
        // All copies are started before the first one is waited for.
        let arriving: Vec<_> =
            indices.iter().map(|index| self.backend.read(id, &format!("{MESSAGE}{index}"))).collect();
        let mut messages = Vec::new();
        for (index, copy) in indices.into_iter().zip(arriving) {
            messages.push((index, copy.await?));
        }
        Ok(messages)
    }
}
