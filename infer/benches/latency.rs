//! Latency of one image and throughput of a batch, for packed files:
//! `cargo bench -p halfwave-infer -- FILE...`.
#![allow(clippy::unwrap_used)] // a benchmark may panic

use halfwave_infer::{Network, Runner};
use std::time::Instant;

/// Seconds of the fastest and of the median run.
fn time(mut run: impl FnMut()) -> (f64, f64) {
    let mut seconds: Vec<f64> = Vec::new();
    let begin = Instant::now();
    while seconds.len() < 5 || seconds.len() < 1000 && begin.elapsed().as_secs_f64() < 2.0 {
        let begin = Instant::now();
        run();
        seconds.push(begin.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    (seconds[0], seconds[seconds.len() / 2])
}

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for file in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        let bytes = std::fs::read(&file).unwrap();
        let runner = Runner::new(Network::read(&bytes).unwrap()).unwrap();
        let batch = 16 * threads;
        let images: Vec<u8> = (0..batch * runner.network().input.len()).map(|i| ((i * 7919) >> 4) as u8).collect();
        let image = &images[..runner.network().input.len()];
        let (fastest, median) = time(|| drop(runner.logits(image).unwrap()));
        let (_, many) = time(|| drop(runner.batch(&images, threads).unwrap()));
        println!(
            "{file}: {:.1} KiB; one image {:.3} ms (fastest {:.3}); {:.0} images/s on {threads} threads; {:.1} MiB of memory",
            bytes.len() as f64 / 1024.0,
            1e3 * median,
            1e3 * fastest,
            batch as f64 / many,
            runner.memory() as f64 / (1 << 20) as f64,
        );
        if std::env::args().any(|argument| argument == "--layers") {
            let mut last = Instant::now();
            let mut lines = Vec::new();
            let mut visit = |layer: &halfwave_infer::Layer| {
                lines.push((last.elapsed().as_secs_f64(), layer.name.clone()));
                last = Instant::now();
            };
            runner.trace(image, |layer, _, _| visit(layer)).unwrap();
            lines.iter().for_each(|(seconds, name)| println!("  {name:<12} {:>9.1} µs", 1e6 * seconds));
        }
    }
}
