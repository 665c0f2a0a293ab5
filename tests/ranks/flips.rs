//! Ranks that vote on the flips of binary weights (`[train.ranks] flips`).

use crate::{Trained, on_ranks, recipe, tensors, train, trained_by};
use halfwave::ops::compress::Format;
use halfwave::recipe::{Bop, Exchange, Optimizer, Recipe};
use halfwave::train::metrics::Row;
use halfwave::train::{Checkpoint, Event};
use pollster::block_on;

/// The recipe of the other tests with Bop, whose mean gradients forget at this rate; ranks vote on flips of conv2.
fn voting(gamma: f64, threshold: f32) -> Recipe {
    let mut recipe = recipe("");
    recipe.train.optimizer = Optimizer::new(0.003, Bop { gamma, threshold, ..Bop::default() });
    recipe.train.ranks.flips = true;
    recipe
}

fn values<'a>(checkpoint: &'a Checkpoint, name: &str) -> &'a [f32] {
    &checkpoint.tensors[name].values
}

fn weights(trained: &Trained) -> &[f32] {
    values(&trained.checkpoint, "conv2.weight")
}

fn momenta(trained: &Trained) -> &[f32] {
    values(&trained.checkpoint, "momentum/conv2.weight")
}

/// Number of weights that differ.
fn flipped(before: &Trained, after: &Trained) -> usize {
    weights(before).iter().zip(weights(after)).filter(|(a, b)| a != b).count()
}

#[test]
fn one_rank_that_votes_trains_with_plain_bop() {
    let recipe = voting(0.05, 1e-4);
    let [start, end] = [0, 21].map(|steps| train(&recipe, 1, steps, None).remove(0));
    let flips = flipped(&start, &end);
    assert!((100..4000).contains(&flips), "{flips} of {} weights differ", weights(&start).len());
    let alone = trained_by(Some(1), &recipe, 21, None).remove(0);
    assert_eq!(alone.losses, end.losses);
    assert_eq!(tensors(&alone.checkpoint), tensors(&end.checkpoint));
}

#[test]
fn a_weight_flips_where_more_than_half_of_the_ranks_vote_for_it() {
    // The mean gradient is the first step's.
    let threshold = 1e-4;
    let recipe = voting(1.0, threshold);
    let start = train(&recipe, 1, 0, None).remove(0);
    for ranks in 2..=5 {
        let all = train(&recipe, ranks, 1, None);
        // Weights by the number of votes for a flip.
        let mut counts = vec![0; ranks + 1];
        for (i, &w) in weights(&start).iter().enumerate() {
            let votes = |trained: &&Trained| {
                let m = momenta(trained)[i];
                m.abs() > threshold && m.signum() == w.signum()
            };
            let votes = all.iter().filter(votes).count();
            counts[votes] += 1;
            let expected = if 2 * votes > ranks { -w } else { w };
            assert!(all.iter().all(|trained| weights(trained)[i] == expected), "{votes} of {ranks} votes");
        }
        assert!(counts.iter().all(|&weights| weights > 10), "{counts:?} weights with 0 to {ranks} votes");
        assert!(all.iter().skip(1).all(|trained| momenta(trained) != momenta(&all[0])));
    }
}

/// Without flips, the mean of the ranks' mean gradients is that of one process, also if ranks have fewer images than
/// others, or none; it is exchanged at the end of an epoch.
#[test]
fn the_mean_over_ranks_is_that_of_one_process() {
    let mut recipe = voting(0.25, 1e9);
    (recipe.train.batch, recipe.data.limit) = (33, Some(101));
    let one = train(&recipe, 1, 8, None).remove(0);
    let largest = momenta(&one).iter().fold(0.0f32, |most, m| m.abs().max(most));
    for (ranks, accumulate) in [(3, 1), (5, 1), (3, 3)] {
        recipe.train.accumulate = accumulate;
        let all = train(&recipe, ranks, 8, None);
        for trained in &all {
            assert_eq!(tensors(&trained.checkpoint), tensors(&all[0].checkpoint), "{ranks} ranks");
        }
        for (m, expected) in momenta(&all[0]).iter().zip(momenta(&one)) {
            assert!((m - expected).abs() < 1e-4 * largest, "{ranks} ranks: {m}, not {expected} (at most {largest})");
        }
    }
}

#[test]
fn ranks_that_vote_learn_and_stay_equal() {
    let mut recipe = voting(0.05, 1e-4);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let [start, half, whole] = [0, 7, 21].map(|steps| train(&recipe, 3, steps, None));
    for trained in &whole {
        assert_eq!(tensors(&trained.checkpoint), tensors(&whole[0].checkpoint));
    }
    let flips = flipped(&start[0], &whole[0]);
    assert!(flips > 100, "{flips} flips");
    let [first, last] = [&whole[0].losses[..7], &whole[0].losses[14..]].map(mean);
    assert!(last < 0.9 * first, "from {first} to {last}");
    // Resumed after an epoch, the run is the same to the bit.
    let rest = train(&recipe, 3, 21, Some(&half[0].checkpoint));
    assert_eq!(tensors(&rest[0].checkpoint), tensors(&whole[0].checkpoint));
    // Other weights can be exchanged in few bits at the same time.
    recipe.train.ranks.gradients = Exchange::Int8;
    let all = train(&recipe, 3, 7, None);
    all.iter().for_each(|trained| assert_eq!(tensors(&trained.checkpoint), tensors(&all[0].checkpoint)));
    assert!(flipped(&start[0], &all[0]) > 0);
}

#[test]
fn a_stop_within_an_epoch_leaves_equal_ranks() {
    let checkpoints = on_ranks(&voting(0.05, 1e-4), 3, |rank, mut trainer, stop, _| {
        block_on(trainer.advance(2)).unwrap();
        if rank == 1 {
            stop.ask();
        }
        while block_on(trainer.advance(1)).is_ok() {}
        assert_eq!(trainer.position().step, 3);
        block_on(trainer.checkpoint()).unwrap()
    });
    assert!(values(&checkpoints[0], "momentum/conv2.weight").iter().any(|m| *m != 0.0));
    checkpoints.iter().for_each(|checkpoint| assert_eq!(tensors(checkpoint), tensors(&checkpoints[0])));
}

/// The exchange in few bits adds nodes to a step; what is not finite is still found where it is.
#[test]
fn a_fault_is_located_after_votes() {
    let faults = |gradients: Exchange| {
        let mut recipe = voting(0.05, 1e-4);
        recipe.train.ranks.gradients = gradients;
        recipe.train.optimizer.lr = f32::MAX;
        on_ranks(&recipe, 2, |_, mut trainer, _, _| {
            let rows = block_on(trainer.advance(1)).unwrap();
            let rows = rows.into_iter().chain(block_on(trainer.flush()).unwrap());
            let fault = rows.filter_map(|event| match event {
                Event::Row(Row::Step(row)) => row.fault,
                _ => None,
            });
            fault.collect::<Vec<_>>()
        })
    };
    // The first update overflows.
    let found = [Exchange::F32, Exchange::Int8].map(faults);
    assert!(found[0].iter().all(|rank| rank.len() == 1 && rank[0].starts_with("in the parameter ")), "{found:?}");
    assert_eq!(found[0], found[1]);
}

#[test]
fn a_vote_is_one_bit() {
    let mut recipe = voting(0.05, 1e-4);
    let parameters = recipe.model.parameters().unwrap();
    let weight = parameters.into_iter().find(|parameter| parameter.name == "conv2.weight").unwrap().ty();
    assert_eq!((weight.words(), 4 * Format::Vote.message_words(&weight)), (9 * 16 * 32, 9 * 16 * 32 / 8));
    for gradients in [Exchange::F32, Exchange::F16] {
        recipe.train.ranks.gradients = gradients;
        let words = match gradients {
            Exchange::F16 => Format::Half.message_words(&weight),
            _ => weight.words(),
        };
        // Each of two ranks sends all numbers once per step.
        let saved = 4 * (words - Format::Vote.message_words(&weight)) as u64;
        let [votes, numbers] = [true, false].map(|flips| {
            recipe.train.ranks.flips = flips;
            train(&recipe, 2, 7, None).remove(0)
        });
        assert_eq!(numbers.per_step.len(), 1);
        assert_eq!(numbers.per_step[0] - votes.per_step[0], saved, "{gradients:?}");
    }
}
