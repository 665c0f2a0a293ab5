//! `train --dump`: writes a run's tensors under the names used by the reference file, for
//! comparison with other implementations.

use halfwave::pass::Optimizer;
use halfwave::train::checkpoint::{HostTensor, to_bytes};
use halfwave::train::metrics::Row;
use halfwave::train::{Session, Trainer};
use halfwave::{Result, files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Tensors to write: `init/…` for all trained tensors, `logits` and `grad/…` of the first step,
/// `loss` of every step, `final/…` for all tensors at the end.
pub(super) struct Dump {
    path: PathBuf,
    tensors: BTreeMap<String, HostTensor>,
}

impl Dump {
    /// Starts a dump with the initial values.
    pub(super) async fn begin(path: &Path, trainer: &mut Trainer) -> Result<Self> {
        let mut dump = Self { path: path.to_path_buf(), tensors: BTreeMap::new() };
        let all = trainer.session().tensors().await?;
        let trained = trainer.session().trained().into_iter();
        dump.tensors.extend(trained.map(|name| (format!("init/{name}"), all[&name].clone())));
        Ok(dump)
    }

    /// Adds the results of the first step.
    pub(super) async fn first_step(&mut self, session: &mut Session) -> Result<()> {
        self.tensors.extend(session.gradients().await?);
        Ok(())
    }

    /// Adds the remaining tensors and writes the file.
    pub(super) async fn finish(mut self, session: &mut Session, rows: &[Row]) -> Result<()> {
        let values: Vec<_> = rows
            .iter()
            .filter_map(|row| match row {
                Row::Step(row) => Some(row.loss),
                Row::Epoch(_) => None,
            })
            .collect();
        self.tensors.insert("loss".to_string(), HostTensor { shape: vec![values.len()], values });
        let kept = session.tensors().await?.into_iter().filter(|(name, _)| !Optimizer::owns(name));
        self.tensors.extend(kept.map(|(name, tensor)| (format!("final/{name}"), tensor)));
        files::replace(&self.path, &to_bytes(&self.tensors, None))
    }
}
