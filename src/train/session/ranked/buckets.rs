//! Buckets: gradients that ranks exchange together, while the device still computes those of earlier layers.
//!
//! The last layers' gradients are complete first. As soon as a device has been given the work up to a bucket's last
//! gradient, the bucket is copied to the host ("ready"), behind that work and before the rest. Its exchange begins
//! when all ranks have it ready, which they tell each other where they synchronise batch-norms, and otherwise after
//! all work was given to the device. The order of all messages is therefore the same on every rank, whatever its
//! device is.

use super::{Arriving, Session};
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::pass::ACCUMULATED;
use crate::pass::exchange::Gradient;
use crate::plan::Plan;
use std::collections::VecDeque;

/// Fewest bytes of a bucket, so that messages are not dominated by latency.
const LEAST_BYTES: usize = 1 << 18;
/// Most buckets of a step.
const MOST: usize = 8;

/// Gradients that are exchanged together.
#[derive(Clone, Debug, Default)]
pub(in crate::train::session) struct Bucket {
    /// Names of those exchanged as floats.
    pub(in crate::train::session) floats: Vec<String>,
    /// Those exchanged in few bits.
    pub(in crate::train::session) compressed: Vec<Gradient>,
}

impl Bucket {
    /// Names of the accumulated sums.
    fn sums(&self) -> impl Iterator<Item = String> + '_ {
        let compressed = self.compressed.iter().map(|gradient| &gradient.name);
        self.floats.iter().chain(compressed).map(|name| format!("{ACCUMULATED}{name}"))
    }
}

/// The exchange of a step that is under way.
#[derive(Default)]
pub(in crate::train::session) struct Underway {
    /// Copies to the host of the buckets that are ready and not yet exchanged: messages in few bits, then floats.
    copies: VecDeque<Vec<Arriving>>,
    /// Number of buckets that were made ready.
    pub(in crate::train::session) ready: usize,
    /// Number of buckets that were exchanged.
    exchanged: usize,
    /// Number of buckets that all ranks have ready.
    pub(in crate::train::session) agreed: usize,
    /// Copies of sums in few bits, of each bucket that has some.
    pub(in crate::train::session) sums: Vec<(usize, Vec<Arriving>)>,
    /// Whether a sum was not finite.
    pub(in crate::train::session) diverged: bool,
}

impl Session {
    /// Divides the gradients into buckets, in the order in which the backward pass completes them.
    pub(in crate::train::session) fn divide_into_buckets(&self) -> Vec<Bucket> {
        if self.ranks.is_none() {
            return Vec::new();
        }
        let trained = || self.parameters.iter().filter(|parameter| parameter.trained());
        let total: usize = trained().map(|parameter| parameter.ty().bytes()).sum();
        let least = total.div_ceil(MOST).max(LEAST_BYTES);
        let (mut buckets, mut bytes) = (vec![Bucket::default()], 0);
        for parameter in trained().collect::<Vec<_>>().into_iter().rev() {
            if bytes >= least {
                buckets.push(Bucket::default());
                bytes = 0;
            }
            bytes += parameter.ty().bytes();
            if let Some(bucket) = buckets.last_mut() {
                match self.compressible(parameter) {
                    Some(gradient) => bucket.compressed.push(gradient),
                    None => bucket.floats.push(parameter.name.clone()),
                }
            }
        }
        buckets
    }

    /// For each bucket the number of a plan's dispatches after which it is complete, as are all before it.
    pub(in crate::train::session) fn complete_after(&self, plan: &Plan) -> Vec<usize> {
        let end_of = |name: &String| {
            let place = plan.state.iter().find(|port| port.name == *name).map(|port| port.place.slot);
            let sums = plan.nodes.iter().filter(|node| matches!(node.op, Op::Accumulate(_)));
            sums.filter(|node| Some(node.output.slot) == place).map(|node| node.steps.end).max().unwrap_or(0)
        };
        let ends = self.buckets.iter().map(|bucket| bucket.sums().map(|name| end_of(&name)).max().unwrap_or(0));
        let latest = |most: &mut usize, end: usize| {
            *most = end.max(*most);
            Some(*most)
        };
        ends.scan(0, latest).collect()
    }

    /// Starts copying the next bucket to the host; `computed` is false if this rank had no images in the step.
    pub(in crate::train::session) async fn make_ready(&mut self, computed: bool) -> Result<()> {
        let index = self.underway.ready;
        let bucket = self.buckets[index].clone();
        if !computed {
            for name in bucket.sums() {
                self.put(&name, &vec![0; self.words_of(&name)]);
            }
        }
        let mut copies = self.start_compressed(index).await?;
        copies.extend(bucket.floats.iter().map(|name| self.get(&format!("{ACCUMULATED}{name}"))));
        self.underway.copies.push_back(copies);
        self.underway.ready += 1;
        Ok(())
    }

    /// Exchanges the buckets up to the number that all ranks have ready.
    pub(in crate::train::session) async fn exchange_ready(&mut self, number: usize) -> Result<()> {
        while self.underway.exchanged < number {
            let index = self.underway.exchanged;
            let copies = self.underway.copies.pop_front().ok_or_else(|| Error::Device("no bucket is ready".into()))?;
            let mut words = Vec::new();
            for copy in copies {
                words.push(copy.await?);
            }
            let floats = words.split_off(self.buckets[index].compressed.len());
            self.exchange_compressed(index, words).await?;
            self.exchange_floats(index, floats)?;
            self.underway.exchanged += 1;
        }
        Ok(())
    }

    fn exchange_floats(&mut self, index: usize, words: Vec<Vec<u32>>) -> Result<()> {
        let mut numbers: Vec<f32> = bytemuck::cast_vec(words.concat());
        let ranks = self.ranks.as_mut().ok_or_else(|| Error::Device("there are no other ranks".into()))?;
        ranks.sum(&mut numbers)?;
        self.underway.diverged |= numbers.iter().any(|number| !number.is_finite());
        let mut rest: &[u32] = bytemuck::cast_slice(&numbers);
        for (name, old) in self.buckets[index].floats.clone().iter().zip(words) {
            let (own, others) = rest.split_at(old.len());
            self.put(&format!("{ACCUMULATED}{name}"), own);
            rest = others;
        }
        Ok(())
    }
}
