//! A recipe run from a program, with callbacks that print and stop it.
//!
//! `cargo run --release --example observer`

use halfwave::metrics::EpochRow;
use halfwave::prelude::*;

/// Prints the accuracy of every epoch, and ends the run at 95%.
struct Until95 {
    accuracy: f32,
}

impl Observer for Until95 {
    fn epoch(&mut self, row: &EpochRow, _trainer: &mut Trainer) -> halfwave::Result<()> {
        self.accuracy = row.test_accuracy.unwrap_or_default();
        println!("epoch {}: test accuracy {:.1}%", row.epoch, 100.0 * self.accuracy);
        Ok(())
    }

    fn stops(&mut self) -> bool {
        self.accuracy >= 0.95
    }
}

fn main() -> halfwave::Result<()> {
    let recipe = Recipe { train: Train { seed: 7, ..Recipe::default().train }, ..Recipe::default() };
    let images = Dataset::load(&recipe.data)?;
    let device = halfwave::backend::open(None).block_on()?;
    let mut trainer = Trainer::new(recipe, images, device, false).block_on()?;
    trainer.run(&mut Until95 { accuracy: 0.0 }).block_on()
}
