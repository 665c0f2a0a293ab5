//! Exact internal values of a network: codes, packed signs and integer sums of the first training
//! images, each with its hash, as JSON. Every device gives the same bits.
//!
//! `cargo run --release --example inspect -- CHECKPOINT [IMAGES]`

use halfwave::backend::cpu::CpuBackend;
use halfwave::data::Dataset;
use halfwave::train::run::SavedRun;
use halfwave::train::{Session, inspect::Activation};
use std::path::Path;

fn main() -> halfwave::Result<()> {
    let usage = || halfwave::Error::Usage("inspect CHECKPOINT [IMAGES]".to_string());
    let mut args = std::env::args().skip(1);
    let checkpoint = args.next().ok_or_else(usage)?;
    let images: u32 = args.next().map_or(Ok(64), |count| count.parse()).map_err(|_| usage())?;
    pollster::block_on(async {
        let SavedRun { recipe, checkpoint, .. } = SavedRun::read(Path::new(&checkpoint))?;
        let data = Dataset::load(&recipe.data)?;
        let mut session = Session::new(&recipe, Box::new(CpuBackend::new()), false).await?;
        session.set_tensors(&checkpoint.tensors, "", checkpoint.position.step)?;
        let normalise = checkpoint.normalise(&recipe)?;
        let (pixels, _) = data.train.normalised(&(0..images).collect::<Vec<_>>(), &normalise)?;
        for activation in session.inspect(&pixels).await? {
            let hash = format!("{:016x}", activation.hash());
            let Activation { layer, stem, ty, .. } = activation;
            println!("{}", serde_json::json!({ "layer": layer, "op": stem, "shape": ty.shape, "hash": hash }));
        }
        Ok(())
    })
}
