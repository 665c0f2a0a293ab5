//! Data-parallel training: several ranks with equal shares of each batch train the same network as one,
//! reproducibly. Ranks are threads here, connected by channels; `tests/ranks/mpi.rs` starts processes.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;
#[path = "ranks/devices.rs"]
mod devices;
#[path = "ranks/flips.rs"]
mod flips;
#[cfg(all(feature = "mpi", unix))]
#[path = "ranks/mpi.rs"]
mod mpi;
#[cfg(all(feature = "mpi", unix))]
#[path = "common/program.rs"]
#[allow(dead_code)] // not every helper is needed here
mod program;

use halfwave::backend::{Backend, cpu::CpuBackend};
use halfwave::data::Dataset;
use halfwave::ops::compress::{BLOCK, Format};
use halfwave::recipe::{Exchange, Recipe};
use halfwave::stop::Stop;
use halfwave::train::evaluate::Evaluation;
use halfwave::train::metrics::{Row, StepRow};
use halfwave::train::ranks::Communicator;
use halfwave::train::{Checkpoint, Trainer};
use halfwave::{Error, Result};
use pollster::block_on;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// Threads connected by a channel for each pair.
struct Thread {
    rank: usize,
    to: Vec<Sender<Vec<u32>>>,
    from: Vec<Receiver<Vec<u32>>>,
    /// The calls so far: "g" for gather, "e" for exchange.
    calls: Arc<Mutex<String>>,
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.to.len()
    }

    fn gather(&mut self, message: &[u32]) -> Result<Vec<Vec<u32>>> {
        self.calls.lock().unwrap().push('g');
        self.send(&vec![message; self.to.len()])
    }

    fn exchange(&mut self, messages: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        self.calls.lock().unwrap().push('e');
        self.send(messages)
    }
}

impl Thread {
    fn send(&mut self, messages: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        self.to.iter().zip(messages).for_each(|(to, message)| to.send(message.to_vec()).unwrap());
        self.from.iter().map(|from| from.recv().map_err(|_| Error::Device("a rank has ended".into()))).collect()
    }
}

fn connected(ranks: usize) -> Vec<Thread> {
    let mut all: Vec<_> =
        (0..ranks).map(|rank| Thread { rank, to: Vec::new(), from: Vec::new(), calls: Arc::default() }).collect();
    for from in 0..ranks {
        for to in 0..ranks {
            let (sender, receiver) = channel();
            all[from].to.push(sender);
            all[to].from.push(receiver);
        }
    }
    all
}

/// What a rank has after training.
struct Trained {
    losses: Vec<f32>,
    checkpoint: Checkpoint,
    evaluation: Evaluation,
    /// Bytes sent in training.
    sent: u64,
    /// Calls to the communicator in training.
    calls: String,
    /// Bytes that this rank sent per step of each epoch.
    per_step: Vec<u64>,
}

/// Trains `steps` steps on this many ranks, from a checkpoint if there is one; one rank trains without
/// any exchange.
fn train(recipe: &Recipe, ranks: usize, steps: u64, from: Option<&Checkpoint>) -> Vec<Trained> {
    trained_by(if ranks == 1 { None } else { Some(ranks) }, recipe, steps, from)
}

/// Trains `steps` steps on ranks that exchange, or in an ordinary training.
fn trained_by(ranks: Option<usize>, recipe: &Recipe, steps: u64, from: Option<&Checkpoint>) -> Vec<Trained> {
    let work = |mut trainer: Trainer, rank: usize, calls: Arc<Mutex<String>>| {
        if let Some(checkpoint) = from {
            trainer.restore(checkpoint).unwrap();
        }
        let mut rows = Vec::new();
        while trainer.position().step < steps {
            let left = steps - trainer.position().step;
            rows.extend(block_on(trainer.advance(left)).unwrap());
        }
        rows.extend(block_on(trainer.flush()).unwrap());
        let losses = rows.iter().filter_map(|event| match event {
            halfwave::train::Event::Row(Row::Step(StepRow { loss, .. })) => Some(*loss),
            _ => None,
        });
        let losses = losses.collect();
        let epochs = rows.iter().filter_map(|event| match event {
            halfwave::train::Event::Row(Row::Epoch(row)) => row.ranks.get(rank),
            _ => None,
        });
        let per_step = epochs.map(|rank| rank.bytes_per_step).collect();
        let checkpoint = block_on(trainer.checkpoint()).unwrap();
        let (sent, calls) = (trainer.session().sent_bytes(), calls.lock().unwrap().clone());
        Trained { losses, checkpoint, sent, calls, per_step, evaluation: block_on(trainer.evaluate()).unwrap() }
    };
    let Some(ranks) = ranks else {
        let data = Dataset::load(&recipe.data).unwrap();
        let trainer = Trainer::new(recipe.clone(), data, Box::new(CpuBackend::new()), false);
        return vec![work(block_on(trainer).unwrap(), 0, Arc::default())];
    };
    on_ranks(recipe, ranks, |rank, trainer, _, calls| {
        calls.lock().unwrap().clear();
        work(trainer, rank, calls)
    })
}

/// Runs `work` on connected ranks at once, each with its number, its trainer, the stop that the trainer obeys, and
/// the calls that it makes; the results by rank.
fn on_ranks<T: Send>(
    recipe: &Recipe,
    ranks: usize,
    work: impl Fn(usize, Trainer, Stop, Arc<Mutex<String>>) -> T + Sync,
) -> Vec<T> {
    on_devices(&|| Box::new(CpuBackend::new()), recipe, ranks, work)
}

/// The same on devices that `open` opens.
fn on_devices<T: Send>(
    open: &(dyn Fn() -> Box<dyn Backend> + Sync),
    recipe: &Recipe,
    ranks: usize,
    work: impl Fn(usize, Trainer, Stop, Arc<Mutex<String>>) -> T + Sync,
) -> Vec<T> {
    let (data, work) = (Dataset::load(&recipe.data).unwrap(), &work);
    thread::scope(|scope| {
        let spawn = |thread: Thread| {
            let (recipe, data) = (recipe.clone(), data.clone());
            scope.spawn(move || {
                let (rank, calls, stop) = (thread.rank, Arc::clone(&thread.calls), Stop::default());
                let trainer = Trainer::with_ranks(recipe, data, open(), Box::new(thread), stop.clone());
                work(rank, block_on(trainer).unwrap(), stop, calls)
            })
        };
        let threads: Vec<_> = connected(ranks).into_iter().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A network without batch-norm, with packed and float layers, dropout and augmentation: 200 images in
/// batches of 32, the last of 8.
fn recipe(more: &str) -> Recipe {
    recipe_of(false, &[], more)
}

/// The same with batch-norms of floats and of packed sums.
fn normalised(more: &str) -> Recipe {
    recipe_of(true, &[], more)
}

/// With more layers before the last one.
fn recipe_of(batch_norms: bool, hidden: &[String], more: &str) -> Recipe {
    let conv1 = "name = \"conv1\"\nkind = \"conv\"\nfilters = 16\nkernel = 3\npadding = 1";
    let conv2 = "name = \"conv2\"\nkind = \"conv\"\nfilters = 32\nkernel = 3\npadding = 1\nweights = \"binary\"";
    let [bn1, bn2] = ["bn1", "bn2"].map(|name| format!("name = \"{name}\"\nkind = \"batch_norm\""));
    let q1 = "name = \"q1\"\nkind = \"hwgq\"\nbits = 2";
    let rest = [
        "name = \"relu2\"\nkind = \"relu\"",
        "name = \"pool2\"\nkind = \"max_pool\"\nkernel = 2",
        "name = \"drop\"\nkind = \"dropout\"\nrate = 0.25",
    ];
    let mut layers = match batch_norms {
        true => [&[conv1, &bn1, q1, conv2, &bn2][..], &rest].concat(),
        false => [&[conv1, q1, conv2][..], &rest].concat(),
    };
    layers.extend(hidden.iter().map(String::as_str));
    layers.push("name = \"fc\"\nkind = \"linear\"\nunits = 10");
    let layers: String = layers.iter().map(|layer| format!("[[model.layers]]\n{layer}\n")).collect();
    let text = format!(
        "[model]\ninput = [1, 8, 8]\nclasses = 10\n{layers}[data]\nset = \"digits\"\nscale = [0.0625, -0.5]\nlimit = 200\ntest_limit = 101\nvalidation = 0\n[data.augment]\npad = 1\n[train]\nbatch = 32\nepochs = 3\n{more}[train.optimizer]\nkind = \"sgd\"\nlr = 0.02\nmomentum = 0.9\n"
    );
    Recipe::parse(&text, "ranks").unwrap()
}

fn tensors(checkpoint: &Checkpoint) -> Vec<(&String, Vec<u32>)> {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    checkpoint.tensors.iter().map(|(name, tensor)| (name, bits(&tensor.values))).collect()
}

#[test]
fn ranks_train_the_network_that_one_trains() {
    let recipe = recipe("");
    let [one] = &train(&recipe, 1, 21, None)[..] else { panic!("one rank") };
    assert_eq!((one.losses.len(), one.losses[0] > one.losses[20]), (21, true));
    for ranks in [2, 3, 4] {
        let all = train(&recipe, ranks, 21, None);
        for trained in &all {
            // All ranks have the same losses and weights, to the bit.
            assert_eq!(trained.losses, all[0].losses);
            assert_eq!(tensors(&trained.checkpoint), tensors(&all[0].checkpoint));
            assert_eq!(trained.evaluation, all[0].evaluation);
            for (step, (loss, expected)) in trained.losses.iter().zip(&one.losses).enumerate() {
                assert!((loss - expected).abs() < 1e-5, "{ranks} ranks, step {step}: {loss} for {expected}");
            }
        }
        // The evaluation of the same weights is that of one rank, to the bit.
        let of_one = train(&recipe, 1, 21, Some(&all[0].checkpoint)).remove(0);
        assert_eq!(all[0].evaluation, of_one.evaluation, "{ranks} ranks");
        assert_eq!(all[0].evaluation.images, 101);
        // Reproducible to the bit.
        assert_eq!(tensors(&train(&recipe, ranks, 21, None)[0].checkpoint), tensors(&all[0].checkpoint));
    }
}

/// Running statistics, which tell those of the batches.
fn running(checkpoint: &Checkpoint, layer: &str) -> Vec<u32> {
    let of_layer = tensors(checkpoint).into_iter().filter(|(name, _)| name.starts_with(&format!("{layer}.running")));
    of_layer.flat_map(|(_, bits)| bits).collect()
}

#[test]
fn batch_norms_use_the_images_of_all_ranks() {
    let recipe = normalised("");
    let [one] = &train(&recipe, 1, 21, None)[..] else { panic!("one rank") };
    let first = train(&recipe, 1, 1, None).remove(0).checkpoint;
    assert_eq!(running(&first, "bn2").len(), 2 * 32);
    for ranks in [2, 3, 4] {
        // The same codes in the first step: the statistics of the packed layer's sums are the same to the bit.
        let of_ranks = train(&recipe, ranks, 1, None);
        assert_eq!(running(&of_ranks[0].checkpoint, "bn2"), running(&first, "bn2"), "{ranks} ranks");
        let all = train(&recipe, ranks, 21, None);
        for trained in &all {
            assert_eq!(tensors(&trained.checkpoint), tensors(&all[0].checkpoint));
            for (step, (loss, expected)) in trained.losses.iter().zip(&one.losses).enumerate() {
                assert!((loss - expected).abs() < 1e-5, "{ranks} ranks, step {step}: {loss} for {expected}");
            }
        }
    }
    // Statistics of each rank's images are others.
    let local = normalised("[train.ranks]\nbatch_norm = \"local\"\n");
    let local = train(&local, 2, 1, None).remove(0).checkpoint;
    assert_ne!(running(&local, "bn2"), running(&first, "bn2"));
}

/// The last batch has 2 images, fewer than there are ranks; micro-batches are synchronised, too.
#[test]
fn ranks_without_images_take_part() {
    for accumulate in [1, 3] {
        let mut recipe = normalised("");
        (recipe.train.batch, recipe.train.accumulate, recipe.data.limit) = (33, accumulate, Some(101));
        let one = train(&recipe, 1, 8, None).remove(0);
        for ranks in [2, 3, 5] {
            let all = train(&recipe, ranks, 8, None);
            all.iter().for_each(|trained| assert_eq!(tensors(&trained.checkpoint), tensors(&all[0].checkpoint)));
            if accumulate == 1 {
                let pairs = all[0].losses.iter().zip(&one.losses);
                pairs.for_each(|(loss, expected)| assert!((loss - expected).abs() < 1e-5, "{loss} for {expected}"));
            }
        }
    }
}

/// Weights after a step minus those before it, of all parameters.
fn change(recipe: &Recipe, ranks: usize) -> Vec<f32> {
    let weights = |steps: u64| {
        let checkpoint = train(recipe, ranks, steps, None).remove(0).checkpoint;
        let weights =
            checkpoint.tensors.into_iter().filter(|(name, _)| name.ends_with(".weight") && !name.contains('/'));
        weights.flat_map(|(_, tensor)| tensor.values).collect::<Vec<_>>()
    };
    weights(1).iter().zip(weights(0)).map(|(after, before)| after - before).collect()
}

#[test]
fn gradients_in_few_bits_are_near_those_of_floats() {
    let of = |gradients: &str| recipe(&format!("[train.ranks]\ngradients = \"{gradients}\"\n"));
    let norm = |values: &[f32]| values.iter().map(|value| f64::from(value * value)).sum::<f64>().sqrt();
    let exact = change(&of("f32"), 3);
    // Relative distance of the first step. A half has 11 bits. A byte's unit is up to 1/64 of the block's largest number,
    // about 3 standard deviations; rounding it stochastically adds noise of up to 0.5 units, on each rank and to the sum.
    for (gradients, at_least, at_most, fall) in
        [("f16", 1e-6, 1e-3, 0.9), ("int8", 1e-3, 5e-2, 0.9), ("sign", 0.1, 0.9, 0.98)]
    {
        let other = change(&of(gradients), 3);
        let distance = norm(&exact.iter().zip(&other).map(|(a, b)| a - b).collect::<Vec<_>>()) / norm(&exact);
        assert!((at_least..at_most).contains(&distance), "{gradients}: {distance}");
        let all = train(&of(gradients), 3, 21, None);
        for trained in &all {
            assert_eq!(tensors(&trained.checkpoint), tensors(&all[0].checkpoint), "{gradients}: ranks are equal");
        }
        // Reproducible to the bit.
        assert_eq!(train(&of(gradients), 3, 7, None)[0].losses, all[0].losses[..7], "{gradients}");
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (first, last) = (mean(&all[0].losses[..7]), mean(&all[0].losses[14..]));
        assert!(last < fall * first, "{gradients}: from {first} to {last}");
    }
}

/// A network with large layers, whose gradients are exchanged in several messages.
#[test]
fn gradients_are_exchanged_in_buckets_during_the_backward_pass() {
    let hidden = [256, 512].map(|units| format!("name = \"hidden{units}\"\nkind = \"linear\"\nunits = {units}"));
    let mut wide = recipe_of(true, &hidden, "");
    wide.train.optimizer.lr = 0.001;
    let one = train(&wide, 1, 3, None).remove(0);
    let all = train(&wide, 2, 3, None);
    all[0].losses.iter().zip(&one.losses).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} for {b}"));
    // Each sum of floats is an exchange and a gathering. The statistics of two batch-norms and what the gradients of the
    // second one need; the sums of the last two layers; what the gradients of the first batch-norm need; the sums of the
    // hidden layer before, and of the rest; loss; faults and requests to stop.
    let step = "ggg eg g eg eg eg g".replace(' ', "");
    // Before the first step, the ranks compare their state.
    assert_eq!(all[0].calls, format!("g{}", step.repeat(3)));
    for gradients in [Exchange::F16, Exchange::Int8, Exchange::Sign] {
        wide.train.ranks.gradients = gradients;
        let all = train(&wide, 2, 3, None);
        assert_eq!(tensors(&all[0].checkpoint), tensors(&all[1].checkpoint));
        // The second step has the weights that the first exchange has changed.
        let near = |most: f32| (all[0].losses[1] - one.losses[1]).abs() < most && all[0].losses[1] != one.losses[1];
        assert!(near(if gradients == Exchange::Sign { 1.0 } else { 0.1 }), "{gradients:?}: {:?}", all[0].losses);
    }
}

#[test]
fn bytes_sent_are_those_of_the_format() {
    let sent = |gradients: &str| {
        let all = train(&recipe(&format!("[train.ranks]\ngradients = \"{gradients}\"\n")), 2, 3, None);
        all[0].sent as i64
    };
    let model = recipe("").model;
    let weights = model.parameters().unwrap().into_iter().filter(|parameter| parameter.name.ends_with("weight"));
    let weights: Vec<_> = weights.map(|weight| weight.ty()).filter(|ty| ty.words() >= BLOCK).collect();
    assert_eq!(weights.len(), 3);
    let floats = sent("f32");
    for (gradients, format) in [("f16", Format::Half), ("int8", Format::Byte), ("sign", Format::Sign)] {
        let saved = weights.iter().map(|ty| 4 * (ty.words() - format.message_words(ty)) as i64).sum::<i64>();
        assert_eq!(floats - sent(gradients), 3 * saved, "{gradients}");
    }
}

#[test]
fn a_run_continues_with_another_number_of_ranks() {
    let recipe = recipe("");
    let whole = train(&recipe, 2, 14, None);
    let half = train(&recipe, 2, 10, None);
    let rest = train(&recipe, 4, 14, Some(&half[0].checkpoint));
    // Steps 11 to 14, of which the first is in the middle of an epoch.
    let pairs = rest[0].losses.iter().zip(&whole[0].losses[10..]);
    assert_eq!(pairs.len(), 4);
    pairs.for_each(|(loss, expected)| assert!((loss - expected).abs() < 1e-5, "{loss} for {expected}"));
    // With the same number it is the same run to the bit.
    let same = train(&recipe, 2, 14, Some(&half[0].checkpoint));
    assert_eq!(tensors(&same[0].checkpoint), tensors(&whole[0].checkpoint));
}

#[test]
fn micro_batches_of_ranks_add_up() {
    let (plain, parts) = (recipe(""), recipe("accumulate = 4\n"));
    let [whole, split] = [plain, parts].map(|recipe| train(&recipe, 2, 7, None).remove(0).losses);
    whole.iter().zip(&split).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} for {b}"));
}

#[test]
fn all_ranks_stop_after_the_same_step() {
    let positions = on_ranks(&recipe(""), 3, |rank, mut trainer, stop, _| {
        block_on(trainer.advance(3)).unwrap();
        if rank == 1 {
            stop.ask();
        }
        while block_on(trainer.advance(2)).is_ok() {}
        trainer.position().step
    });
    assert!(
        positions[0] > 3 && positions[0] < 21 && positions.iter().all(|step| *step == positions[0]),
        "{positions:?}"
    );
}

#[test]
fn a_batch_has_an_image_for_each_rank() {
    let mut recipe = recipe("");
    recipe.train.batch = 2;
    let data = Dataset::load(&recipe.data).unwrap();
    let thread = connected(3).remove(0);
    let trainer = Trainer::with_ranks(recipe, data, Box::new(CpuBackend::new()), Box::new(thread), Stop::default());
    let message = block_on(trainer).err().unwrap().to_string();
    assert!(message.contains("a batch of 2 images cannot be divided among 3 ranks"), "{message}");
}
