//! Training as a library: a session trains on batches, without access to files.
//!
//! `cargo run --release --example steps`

use halfwave::backend::cpu::CpuBackend;
use halfwave::data::{Dataset, Normalise, epoch_batches};
use halfwave::recipe::Recipe;
use halfwave::train::Session;
use halfwave::train::evaluate::evaluate;

fn main() -> halfwave::Result<()> {
    pollster::block_on(async {
        let recipe = Recipe::digits();
        let data = Dataset::load(&recipe.data)?;
        let mut session = Session::new(&recipe, Box::new(CpuBackend::new()), false).await?;
        let normalise = Normalise::new(&recipe.data);
        for epoch in 0..3 {
            for batch in epoch_batches(data.train.len(), recipe.train.batch, 0, epoch, true, false) {
                let (images, labels) = data.train.normalised(&batch, &normalise)?;
                session.train_step(&images, &labels, 0.05).await?;
            }
            // Losses stay on the device until they are requested.
            let measured = session.measured().await?;
            let loss = measured.iter().map(|m| m.loss).sum::<f32>() / measured.len() as f32;
            let test = evaluate(&mut session, &data.test, &normalise, data.classes).await?;
            println!("epoch {}: loss {loss:.4}, test accuracy {:.1} %", epoch + 1, 100.0 * test.accuracy());
        }
        Ok(())
    })
}
