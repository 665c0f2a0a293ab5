//! A session without other ranks, in a browser: the counterpart of the module `ranked`.

use super::{Purpose, Session};
use crate::backend::PlanId;
use crate::error::{Error, Result};
use crate::ops::Graph;
use crate::train::evaluate::ImageResult;

/// What ranks exchange together: nothing.
pub(super) struct Bucket;
/// An exchange that is under way: none.
#[derive(Default)]
pub(super) struct Underway;
/// How gradients are exchanged in few bits: never.
pub(super) enum Format {}

impl From<crate::recipe::Exchange> for Option<Format> {
    fn from(_: crate::recipe::Exchange) -> Self {
        None
    }
}

impl Session {
    pub(super) fn divide_into_buckets(&self) -> Vec<Bucket> {
        Vec::new()
    }

    pub(super) fn exchange_graph(&self, purpose: Purpose, _bucket: usize) -> Result<Graph> {
        Err(Error::Device(format!("{purpose:?}: there are no other ranks")))
    }

    pub(super) fn checking(&self) -> impl Iterator<Item = (Purpose, usize)> + use<> {
        std::iter::empty()
    }

    pub(super) fn behind(&self, _purpose: Purpose, _bucket: usize) -> Result<usize> {
        Ok(0)
    }

    pub(super) async fn load_votes(&mut self) -> Result<()> {
        Ok(())
    }

    pub(in crate::train) async fn average_votes(&mut self) -> Result<()> {
        Ok(())
    }

    pub(super) fn clear_residuals(&mut self) {}

    pub(super) async fn run_synchronised(&mut self, id: PlanId, _last: bool) -> Result<()> {
        self.backend.run(id)
    }

    pub(super) async fn join_synchronisation(&mut self, _last: bool, _computed: bool) -> Result<()> {
        Ok(())
    }

    pub(super) async fn exchange(&mut self, _of: usize) -> Result<()> {
        Ok(())
    }

    pub(in crate::train) fn gather_results(
        &mut self,
        labels: Vec<u32>,
        results: Vec<ImageResult>,
    ) -> Result<(Vec<u32>, Vec<ImageResult>)> {
        Ok((labels, results))
    }
}
