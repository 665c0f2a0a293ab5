//! Frames of runs over several ranks.

use super::{about, epoch, frame, run};
use crate::cli::view::state::{RunSummary, State};
use halfwave::train::metrics::{EpochRow, RankRow, Row};
use halfwave::train::{Event, Position};

/// What ranks have measured in an epoch in which each exchanges a fifth of its time, except a slow one.
fn rows(count: usize, slow: usize) -> Vec<RankRow> {
    let exchange_s = |rank: usize| if rank == slow { 0.02 } else { 0.2 + 0.0005 * (rank % 9) as f64 };
    let row =
        |rank| RankRow { bytes_per_step: 1_875_576, seconds: 1.0, exchange_s: exchange_s(rank), batch_norm_s: 0.0 };
    (0..count).map(row).collect()
}

/// Returns the summary of a run over some ranks; one process has none.
fn summary(count: usize) -> RunSummary {
    let devices = ["NVIDIA H200", "AMD Radeon RX 7900 XTX"];
    let ranks = (0..count).map(|rank| devices[usize::from(rank % 4 == 3)].to_string()).collect();
    RunSummary { ranks: if count == 1 { Vec::new() } else { ranks }, ..about() }
}

/// A run over some ranks after ten epochs.
pub(super) fn ranked(count: usize) -> State {
    let mut state = run(summary(count), 230);
    let ranks = if count == 1 { Vec::new() } else { rows(count, count / 2) };
    let row = Row::Epoch(EpochRow { ranks, ..epoch(10) });
    state.update(&[Event::Row(row)], state.position, state.images_per_s, state.elapsed);
    state
}

/// Returns the lines from the heading of the table on, up to a blank one.
fn table(shown: &str) -> Vec<&str> {
    let lines = shown.lines().skip_while(|line| !line.trim_start().starts_with("rank "));
    lines.take_while(|line| !line.trim().is_empty()).collect()
}

#[test]
fn every_rank_has_a_line() {
    let shown = frame(&ranked(4), 120, 40);
    let expected = [
        " rank   device                   computing        exchanging   of a step                           sent",
        "    0   NVIDIA H200                35.6 ms     8.9 ms    20%   ━━━━━━━━━━━━━━━━━━━━━╸─────      1.8 MiB",
        "    1   NVIDIA H200                35.6 ms     8.9 ms    20%   ━━━━━━━━━━━━━━━━━━━━━╸─────      1.8 MiB",
        "    2   NVIDIA H200                43.6 ms     0.9 ms     2%   ━━━━━━━━━━━━━━━━━━━━━━━━━━╸      1.8 MiB   slowest +23%",
        "    3   AMD Radeon RX 7900 XTX     35.6 ms     9.0 ms    20%   ━━━━━━━━━━━━━━━━━━━━━╸─────      1.8 MiB",
    ];
    assert_eq!(table(&shown), expected, "{shown}");
}

#[test]
fn of_many_ranks_the_slowest_are_shown() {
    for (width, height) in [(200, 60), (120, 40), (100, 30), (60, 30)] {
        let shown = frame(&ranked(64), width, height);
        let lines = table(&shown);
        assert_eq!(lines.len(), usize::from(height) / 6, "{shown}");
        let first = lines[1].trim_start();
        assert!(first.starts_with("32 ") && first.contains("43.6 ms"), "{shown}");
        let rest = format!("… and {} more, computing 35.5 to 35.6 ms", 66 - lines.len());
        assert!(lines[lines.len() - 1].contains(&rest), "{rest} is not in\n{shown}");
        assert!(shown.contains("stop and save") && shown.contains("codes | ideal"), "{shown}");
    }
    // Nobody is slow.
    let mut even = ranked(64);
    even.ranks[32] = even.ranks[0];
    assert!(!frame(&even, 200, 60).contains("slowest"));
}

#[test]
fn ranks_give_way_on_small_terminals() {
    for (width, height) in [(80, 24), (76, 29), (40, 12), (30, 8), (6, 1)] {
        let (one, all) = (frame(&ranked(1), width, height), frame(&ranked(64), width, height));
        assert!(table(&all).is_empty(), "{all}");
        // Nothing is lost, and nothing moves.
        let differ: Vec<_> = one.lines().zip(all.lines()).filter(|(one, all)| one != all).collect();
        assert!(differ.len() <= 1 && differ.iter().all(|(one, all)| all.starts_with(one)), "{one}{all}");
    }
    let shown = frame(&ranked(64), 80, 24);
    assert!(shown.contains("ranks 64   slowest rank 32, +23%"), "{shown}");
    let shown = frame(&ranked(64), 120, 29);
    assert!(shown.contains("ranks 64   slowest rank 32, +23%   exchanging 2 to 20%"), "{shown}");
    for (width, height) in [(200, 60), (80, 24)] {
        assert!(!frame(&ranked(1), width, height).contains("rank"), "one process has no ranks");
    }
}

#[test]
fn ranks_without_times_are_listed() {
    let mut state = State::new(summary(4), Position::default(), &[]);
    let shown = frame(&state, 120, 40);
    let lines = table(&shown);
    assert_eq!(lines.len(), 5, "{shown}");
    assert!(lines[4].contains("3   AMD Radeon RX 7900 XTX") && lines[4].ends_with('-'), "{shown}");
    assert!(!shown.contains("NaN"), "{shown}");
    // A run that goes on has the rows of other ranks, or of the same ones on other devices.
    for earlier in [4, 2] {
        let row = Row::Epoch(EpochRow { ranks: rows(earlier, 1), ..epoch(1) });
        state = State::new(summary(4), Position::default(), &[row]);
        assert!(state.ranks.is_empty());
    }
    // Nothing was measured in an epoch of which only the evaluation remained.
    let (ranks, images_per_s) = (vec![RankRow::default(); 4], f64::NAN);
    let row = Row::Epoch(EpochRow { ranks, images_per_s, ..epoch(2) });
    state.update(&[Event::Row(row)], Position::default(), None, 1.0);
    assert!(state.ranks.is_empty());
}

#[test]
fn ranks_fit_every_width() {
    for count in [2, 4, 1000] {
        let mut state = ranked(count);
        let fresh = State::new(summary(count), Position::default(), &[]);
        for width in (1..40).chain([60, 79, 80, 100, 120, 300]) {
            for height in [30, 100] {
                frame(&state, width, height);
                frame(&fresh, width, height);
            }
        }
        state.about.ranks[0] = "ラン 跑 🏃‍♀️ é\u{301}".repeat(9);
        frame(&state, 100, 40);
    }
}
