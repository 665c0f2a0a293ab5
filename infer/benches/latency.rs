//! Latency of one image and throughput of a batch, for packed files:
//!
//!     cargo bench -p halfwave-infer -- FILE... [--threads=N] [--batch=N] [--layers] [--json]
//!
//! Cargo runs it in the folder `infer`, so give absolute paths.
#![allow(clippy::unwrap_used)] // a benchmark may panic

use halfwave_infer::{Layer, Network, Runner};
use std::time::{Duration, Instant};

/// Time for each measurement.
const LIMIT: Duration = Duration::from_secs(2);

/// Median seconds of a run.
fn time(mut run: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = Vec::new();
    let begin = Instant::now();
    while seconds.len() < 3 || begin.elapsed() < LIMIT {
        let begin = Instant::now();
        run();
        seconds.push(begin.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Prints the median time of each layer for one image.
fn layers(runner: &Runner, image: &[u8]) {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); runner.network().layers.len()];
    for _ in 0..100 {
        let (mut last, mut at) = (Instant::now(), 0);
        let visit = |_: &Layer, _: &_, _: &_| {
            times[at].push(1e6 * last.elapsed().as_secs_f64());
            (last, at) = (Instant::now(), at + 1);
        };
        runner.trace(image, visit).unwrap();
    }
    for (layer, times) in runner.network().layers.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("  {:<16} {:>9.1} µs", layer.name, times[times.len() / 2]);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let number = |name: &str| arguments.iter().find_map(|argument| argument.strip_prefix(name)?.parse::<usize>().ok());
    let threads = number("--threads=").unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let batch = number("--batch=").unwrap_or(16 * threads);
    for file in arguments.iter().filter(|argument| !argument.starts_with("--")) {
        let read = std::fs::read(file).map_err(|error| error.to_string());
        let network =
            read.and_then(|bytes| Ok((bytes.len(), Network::read(&bytes).map_err(|error| error.to_string())?)));
        let made =
            network.and_then(|(len, network)| Ok((len, Runner::new(network).map_err(|error| error.to_string())?)));
        let (len, runner) = match made {
            Ok(made) => made,
            Err(error) => {
                eprintln!("error: {file}: {error}");
                std::process::exit(1);
            }
        };
        let images: Vec<u8> = (0..batch * runner.network().input.len()).map(|i| (i * 7919 % 251) as u8).collect();
        let image = &images[..runner.network().input.len()];
        let one = time(|| drop(runner.logits(image).unwrap()));
        let many = batch as f64 / time(|| drop(runner.batch(&images, threads).unwrap()));
        if flag("--json") {
            println!("{{\"one\": {one}, \"batch\": {many}}}");
            continue;
        }
        let (size, memory) = (len as f64 / 1024.0, runner.memory() as f64 / (1 << 20) as f64);
        println!(
            "{file}: {size:.1} KiB, {memory:.1} MiB to run; one image {:.3} ms; {many:.0} images/s in batches of {batch} on {threads} threads",
            1e3 * one
        );
        if flag("--layers") {
            layers(&runner, image);
        }
    }
}
