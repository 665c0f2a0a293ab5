//! The view of a run on a terminal: curves, times, statistics of low-bit layers, and the ranks that train together.
//!
//! A separate thread draws and handles keys, so that the view stays responsive during a long step;
//! training only updates the shared state. When the view closes, the terminal is restored, and the
//! lines that `--plain` prints follow.

mod charts;
mod curve;
mod draw;
mod layers;
mod plot;
mod ranks;
mod screen;
mod state;
mod style;
#[cfg(test)]
mod tests;

pub(super) use screen::leave;
pub(super) use state::RunSummary;

use super::{interrupt, terminal};
use halfwave::train::metrics::Row;
use halfwave::train::{Event, Position};
use ratatui::crossterm::event::{self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use screen::Screen;
use state::State;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use style::Palette;

/// Interval between two frames.
const FRAME: Duration = Duration::from_millis(100);

/// Interval between two polls for keys.
const UPDATE_INTERVAL: Duration = Duration::from_millis(40);

/// An open view.
pub(super) struct View {
    shared: Arc<Shared>,
    /// Receives nothing; it is disconnected when the thread ends.
    thread: mpsc::Receiver<()>,
}

/// State shared between training and the view.
struct Shared {
    state: Mutex<State>,
    /// Whether the state has changed since it was drawn.
    news: AtomicBool,
    over: AtomicBool,
    opened: Instant,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Opens a view of a run at `position` with the rows written so far.
    ///
    /// Returns `None` if there is no terminal, or if it supports only plain lines.
    pub(super) fn open(about: RunSummary, position: Position, rows: &[Row]) -> Option<Self> {
        let terminals = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        if !terminals || !terminal::is_capable() || !screen::is_foreground() {
            return None;
        }
        let state = Mutex::new(State::new(about, position, rows));
        let (news, over, opened) = (AtomicBool::new(true), AtomicBool::new(false), Instant::now());
        let shared = Arc::new(Shared { state, news, over, opened });
        let (screen, seen, (ends, thread)) = (Screen::new().ok()?, Arc::clone(&shared), mpsc::channel());
        let watched = thread::Builder::new().name("view".into()).spawn(move || {
            let _ends: mpsc::Sender<()> = ends;
            Watch { shared: seen, screen, palette: Palette::wished() }.run();
        });
        if watched.is_err() {
            leave();
            return None;
        }
        Some(Self { shared, thread })
    }

    /// Shows the events up to `position`.
    pub(super) fn show(&self, events: &[Event], position: Position, images_per_s: Option<f64>) {
        self.shared.state().update(events, position, images_per_s, self.shared.opened.elapsed().as_secs_f64());
        self.shared.news.store(true, Ordering::Release);
    }
}

impl Drop for View {
    /// The terminal is restored however a run ends.
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // The thread must not take a key that is meant for the shell. But the thread may be blocked
        // forever if the terminal is gone.
        let _ = self.thread.recv_timeout(5 * FRAME);
        leave();
    }
}

/// The thread's side.
struct Watch {
    shared: Arc<Shared>,
    screen: Screen,
    palette: Palette,
}

impl Watch {
    fn run(&mut self) {
        let (mut drawn, mut last) = (None::<Instant>, None);
        while !self.shared.over.load(Ordering::Acquire) && screen::is_up() {
            if drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
                // What changes independently of training.
                let now = (self.shared.opened.elapsed().as_secs(), interrupt::asked(), terminal::last_note());
                if self.shared.news.swap(false, Ordering::AcqRel) || last.as_ref() != Some(&now) {
                    self.draw(now.1, now.2.clone());
                    (drawn, last) = (Some(Instant::now()), Some(now));
                }
            }
            match event::poll(UPDATE_INTERVAL) {
                Ok(true) => match event::read() {
                    Ok(Input::Key(key)) if key.kind != KeyEventKind::Release => self.press(key),
                    Ok(Input::Resize(..)) => self.shared.news.store(true, Ordering::Release),
                    _ => {}
                },
                Ok(false) => {}
                Err(_) => thread::sleep(FRAME),
            }
        }
    }

    fn draw(&mut self, stopping: bool, note: Option<String>) {
        let (shared, palette) = (&self.shared, &self.palette);
        self.screen.draw(|frame| {
            // Training may wait for this lock, but never for a slow terminal, which is written to
            // later.
            let mut state = shared.state();
            (state.elapsed, state.stopping, state.note) = (shared.opened.elapsed().as_secs_f64(), stopping, note);
            draw::draw(&state, palette, frame.area(), frame.buffer_mut());
        });
    }

    fn press(&mut self, key: KeyEvent) {
        self.shared.news.store(true, Ordering::Release);
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Char('c'), true) | (KeyCode::Char('q'), false) => interrupt::ask(interrupt::Request::Interrupt),
            (KeyCode::Char('z'), true) => self.suspend(),
            (KeyCode::Char('l'), true) => self.screen.refresh(),
            (KeyCode::Down | KeyCode::Char('j'), _) => self.scroll(1),
            (KeyCode::Up | KeyCode::Char('k'), _) => self.scroll(-1),
            (KeyCode::PageDown, _) => self.scroll(8),
            (KeyCode::PageUp, _) => self.scroll(-8),
            _ => {}
        }
    }

    fn scroll(&mut self, by: isize) {
        let mut state = self.shared.state();
        state.scroll = state.scroll.saturating_add_signed(by).min(layers::hidden(&state, self.screen.height()));
    }

    /// Stops the program until the shell resumes it. In the background, lines are printed as they
    /// come; in the foreground, the view returns.
    fn suspend(&mut self) {
        if !cfg!(unix) {
            return;
        }
        leave();
        screen::suspend();
        while !screen::is_foreground() {
            if self.shared.over.load(Ordering::Acquire) {
                return;
            }
            thread::sleep(FRAME);
        }
        // If the terminal cannot be taken over again, plain lines are printed.
        let _ = self.screen.again();
    }
}
