//! Training on arrays as a library: a network described in code, no recipe and no files.
//!
//! `cargo run --release --example network`

use halfwave::prelude::*;

fn main() -> halfwave::Result<()> {
    // A first-party data set, as plain arrays: floats [n, h, w, c] and labels.
    let recipe = Recipe::digits();
    let digits = Dataset::load(&recipe.data)?;
    let normalise = halfwave::data::Normalise::new(&recipe.data);
    let everything: Vec<u32> = (0..digits.test.len() as u32).collect();
    let (test_images, test_labels) = digits.test.normalised(&everything, &normalise)?;

    // Binary weights and 2-bit activations in the middle; the first and the last layer are floats.
    let device = halfwave::backend::open(None).block_on()?;
    let mut network = Network::builder([1, 8, 8], 10)
        .layer(Conv { filters: 32, padding: [1, 1], ..Conv::default() })
        .layer(BatchNorm::default())
        .layer(Hwgq::default())
        .layer(Conv { filters: 32, padding: [1, 1], weights: Weights::BINARY, ..Conv::default() })
        .layer(BatchNorm::default())
        .layer(LayerKind::MaxPool(Pool::square(2)))
        .layer(Relu)
        .layer(Linear { units: 10, ..Linear::default() })
        .optimizer(Optimizer::new(0.01, Adam::default()))
        .batch(64)
        // Not needed for training here: with it, the command line can evaluate the checkpoint.
        .data(Digits)
        .build(device)
        .block_on()?;

    for epoch in 1..=5 {
        for batch in halfwave::data::epoch_batches(digits.train.len(), 64, 0, epoch, true, false) {
            let (images, labels) = digits.train.normalised(&batch, &normalise)?;
            network.train_step(&images, &labels).block_on()?;
        }
        // Losses stay on the device until they are requested.
        let steps = network.measured().block_on()?;
        let loss = steps.iter().map(|step| step.loss).sum::<f32>() / steps.len() as f32;
        let classes = network.classify(&test_images).block_on()?;
        let correct = classes.iter().zip(&test_labels).filter(|(class, label)| **class == **label as usize).count();
        println!("epoch {epoch}: loss {loss:.4}, test accuracy {:.1}%", 100.0 * correct as f32 / classes.len() as f32);
    }
    let file = std::env::temp_dir().join("network.safetensors");
    std::fs::write(&file, network.checkpoint().block_on()?.to_bytes()).map_err(halfwave::Error::io(&file))?;
    println!("saved {}", file.display());
    Ok(())
}
