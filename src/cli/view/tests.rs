//! Frames of every size and of unusual runs, rendered as text.

mod ranks;

use super::draw::draw;
use super::state::{RunSummary, State};
use super::style::Palette;
use halfwave::train::metrics::{EpochRow, LayerRow, Row, Spread, StepRow};
use halfwave::train::{Event, Position};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use std::collections::BTreeMap;

/// Returns the rows of a buffer, without trailing blanks.
pub(super) fn text(buffer: &Buffer) -> String {
    let cells = buffer.content.chunks(buffer.area.width.max(1).into());
    let rows = cells.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
    rows.map(|row| row.trim_end().to_string() + "\n").collect()
}

/// Renders a frame on a terminal of the given size.
fn frame(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let palette = Palette::new(true);
    terminal.draw(|frame| draw(state, &palette, frame.area(), frame.buffer_mut())).unwrap();
    text(terminal.backend().buffer())
}

fn about() -> RunSummary {
    RunSummary {
        folder: "runs/digits-1".into(),
        device: "llvmpipe (LLVM 15.0.6, 256 bits) · Vulkan · software".into(),
        steps: 460,
        epochs: 20,
        epoch_steps: 23,
        batch: 64,
        layers: ["conv1", "q1", "conv2", "q2", "conv3"].map(str::to_string).into(),
        ranks: Vec::new(),
    }
}

fn quantiser() -> LayerRow {
    let (codes, ideal) = (vec![0.48, 0.3, 0.14, 0.08], vec![0.5, 0.29, 0.15, 0.06]);
    LayerRow { codes, ideal, passed: Some(0.875), ..LayerRow::default() }
}

fn weights() -> LayerRow {
    let alpha = Some(Spread { min: 0.0125, mean: 0.05, max: 0.25 });
    LayerRow { flipped: Some(0.0042), alpha, ..LayerRow::default() }
}

fn layers() -> BTreeMap<String, LayerRow> {
    [("q1", quantiser()), ("conv2", weights()), ("q2", quantiser()), ("conv3", weights())]
        .map(|(name, layer)| (name.to_string(), layer))
        .into()
}

fn epoch(epoch: u64) -> EpochRow {
    let accuracy = |low: f32| Some(1.0 - low * (-(epoch as f32) / 3.0).exp());
    EpochRow {
        epoch,
        step: 23 * epoch,
        train_accuracy: accuracy(0.5),
        validation_accuracy: accuracy(0.6),
        test_accuracy: accuracy(0.8),
        test_loss: Some(2.0 / epoch as f32),
        test_top5: Some(0.999),
        images_per_s: 1437.0,
        layers: layers(),
        ..EpochRow::default()
    }
}

/// Returns the state of a run after `steps` steps.
fn run(about: RunSummary, steps: u64) -> State {
    let step = |step: u64| {
        let loss = 2.4 * (-(step as f32) / 60.0).exp() + 0.02 * (step % 7) as f32 + 0.01;
        Row::Step(StepRow { step, epoch: step / 23 + 1, loss, lr: 0.05, fault: None })
    };
    let rows = (1..=steps).flat_map(|at| {
        let end = at.is_multiple_of(23).then(|| Row::Epoch(epoch(at / 23)));
        std::iter::once(step(at)).chain(end)
    });
    let mut state = State::new(about, Position::default(), &rows.collect::<Vec<_>>());
    let (epoch, batch) = (steps / 23, steps % 23);
    let seen = Position { seen: 64 * batch, correct: 60 * batch, ..Position::default() };
    let position = Position { step: steps, epoch, ..seen };
    state.update(&[], position, Some(1437.4), 10.4);
    state
}

#[test]
fn a_large_terminal_shows_everything() {
    let shown = frame(&run(about(), 230), 120, 40);
    for part in [
        "runs/digits-1",
        "llvmpipe (LLVM 15.0.6, 256 bits) · Vulkan · software",
        " 50%",
        "epoch 11 of 20",
        "step 230 of 460",
        "11 s left",
        "10 s so far",
        "1,437 images/s",
        "45 ms per step",
        "learning rate 0.05",
        "loss",
        "train 0.",
        "test 0.2000",
        "⠤⠄ val 97.9%",
        "test 97.1%",
        "100%",
        "layer   codes | ideal",
        "off ideal",
        "3.0%",
        "signs flipped",
        "0.42%",
        "gradient passed",
        "87.5%",
        "0.0125  0.0500  0.2500",
        "q, Ctrl-C stop and save",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let order = ["q1 ", "conv2 ", "q2 ", "conv3 "].map(|name| shown.find(&format!("\n {name}")));
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{shown}");
    let braille = shown.chars().filter(|c| ('⠁'..='⣿').contains(c)).count();
    assert!(braille > 100, "only {braille} cells of curves\n{shown}");
}

#[test]
fn bars_stand_for_shares_and_their_ideals() {
    let shown = frame(&run(about(), 23), 120, 24);
    // 48, 30, 14 and 8% beside 50, 29, 15 and 6%; the largest is seven eighths high.
    assert!(shown.contains("q1      ▇▇ ▄▄ ▂▂ ▁▁ "), "{shown}");
    let shown = frame(&run(about(), 23), 120, 40);
    assert!(shown.contains("         ▆▇ ▁▁\n q1      ██ ██ ▄▅ ▂▂ "), "taller ones have two rows\n{shown}");
}

#[test]
fn smaller_terminals_keep_what_matters_most() {
    let state = run(about(), 230);
    let shown = frame(&state, 80, 24);
    for part in ["runs/digits-1", "epoch 11 of 20", "11 s left", "accuracy", "codes | ideal", "stop and save"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let shown = frame(&state, 40, 12);
    for part in ["runs/digits-1", " 50%", "epoch 11 of 20", "loss", "stop and save"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert_eq!(frame(&state, 6, 1), " 50%\n");
}

#[test]
fn no_size_is_too_small_for_any_run() {
    let named =
        |name: &str| RunSummary { folder: name.into(), device: name.into(), layers: vec![name.into()], ..about() };
    let long = "a very long name ".repeat(40);
    let mut deep = run(about(), 230);
    deep.layers = (0..60).map(|at| (format!("layer{at}"), quantiser())).collect();
    deep.scroll = usize::MAX;
    let mut wide = run(about(), 230);
    let codes = vec![1.0 / 256.0; 256];
    wide.layers = vec![("q".repeat(300), LayerRow { codes: codes.clone(), ideal: codes, ..LayerRow::default() })];
    wide.note = Some(long.clone());
    let mut bare = run(about(), 46);
    bare.layers = vec![(String::new(), LayerRow::default())];
    bare.stopping = true;
    let empty = State::new(RunSummary::default(), Position::default(), &[]);
    let runs = [
        run(about(), 0),
        run(about(), 1),
        run(about(), 23),
        run(named(&long), 230),
        run(named("ラン 跑 🏃‍♀️ é\u{301}"), 230),
    ];
    for state in runs.iter().chain([&deep, &wide, &bare, &empty, &not_finite()]) {
        for width in (1..14).chain([29, 30, 31, 39, 40, 75, 76, 80, 120, 300]) {
            for height in (1..20).chain([24, 30, 40, 100]) {
                frame(state, width, height);
            }
        }
    }
}

/// A run whose losses, accuracies and shares are not finite or out of range.
fn not_finite() -> State {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 1e38];
    let mut rows: Vec<_> = odd
        .iter()
        .zip(1..)
        .map(|(&loss, step)| Row::Step(StepRow { step, epoch: 1, loss, lr: loss, fault: None }))
        .collect();
    rows.extend(odd.iter().zip(1..).map(|(&value, epoch)| {
        let alpha = Some(Spread { min: value, mean: value, max: value });
        let (codes, ideal) = (odd.to_vec(), vec![value; 5]);
        let layer = LayerRow { codes, ideal, passed: Some(value), alpha, ..LayerRow::default() };
        let [train_accuracy, test_accuracy, test_loss] = [Some(value); 3];
        let (layers, images_per_s, seconds) = (BTreeMap::from([("q1".into(), layer)]), value.into(), value.into());
        Row::Epoch(EpochRow {
            epoch,
            train_accuracy,
            test_accuracy,
            test_loss,
            images_per_s,
            seconds,
            layers,
            ..EpochRow::default()
        })
    }));
    let mut state = State::new(about(), Position::default(), &rows);
    state.update(&[Event::EpochEnd], Position { step: 5, ..Position::default() }, Some(f64::INFINITY), f64::MAX);
    state
}

#[test]
fn odd_losses_are_said() {
    let mut state = State::new(about(), Position::default(), &[]);
    assert!(frame(&state, 80, 24).contains("waiting for the first step"));
    let row = Row::Step(StepRow { step: 1, epoch: 1, loss: f32::NAN, lr: 0.05, fault: None });
    state.update(&[Event::Row(row)], Position { step: 1, ..Position::default() }, None, 1.0);
    let shown = frame(&state, 80, 24);
    assert!(shown.contains("train not finite") && shown.contains("not finite from step 1"), "{shown}");
    assert!(shown.contains("waiting for the first epoch") && shown.contains("- left"), "{shown}");
}

#[test]
fn layers_that_do_not_fit_can_be_scrolled_to() {
    let mut state = run(about(), 230);
    state.layers = (0..60).map(|at| (format!("layer{at}"), weights())).collect();
    let shown = frame(&state, 100, 30);
    assert!(shown.contains("layer0 ") && !shown.contains("layer59") && shown.contains("↑ ↓ layers"), "{shown}");
    state.scroll = 1000;
    let shown = frame(&state, 100, 30);
    assert!(shown.contains("layer59") && !shown.contains("layer0 "), "{shown}");
    assert!(!frame(&run(about(), 230), 100, 30).contains("↑ ↓"));
}

#[test]
fn a_request_to_end_and_the_last_note_are_shown() {
    let mut state = run(about(), 230);
    (state.stopping, state.note) = (true, Some("warning: something is odd".into()));
    for (width, height) in [(120, 40), (80, 24)] {
        let shown = frame(&state, width, height);
        assert!(shown.contains("warning: something is odd"), "{shown}");
        assert!(shown.contains("q, Ctrl-C quit now") && shown.contains("stopping after the current step"), "{shown}");
    }
}
