//! The view of a run on a terminal: curves, times, and what layers of few bits do.
//!
//! A thread of its own draws and listens to keys, so that a step of minutes leaves neither deaf; training only notes what happened. When the view closes, the terminal is as it was, with the lines below that `--plain` prints.

mod charts;
mod curve;
mod draw;
mod layers;
mod plot;
mod screen;
mod state;
mod style;
#[cfg(test)]
mod tests;

pub(super) use screen::leave;
pub(super) use state::About;

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

/// Between two frames.
const FRAME: Duration = Duration::from_millis(100);

/// Between two looks at the keys.
const GLANCE: Duration = Duration::from_millis(40);

/// A view that is open.
pub(super) struct View {
    shared: Arc<Shared>,
    /// Gets nothing, and ends with the thread.
    thread: mpsc::Receiver<()>,
}

/// What training and the view have in common.
struct Shared {
    state: Mutex<State>,
    /// Whether there is something new to draw.
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
    /// Opens a view of a run that stands at `position`, with its rows so far. None where there is no terminal, or one that can do nothing but lines.
    pub(super) fn open(about: About, position: Position, rows: &[Row]) -> Option<Self> {
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

    /// Shows what happened up to `position`.
    pub(super) fn show(&self, events: &[Event], position: Position, images_per_s: Option<f64>) {
        self.shared.state().update(events, position, images_per_s, self.shared.opened.elapsed().as_secs_f64());
        self.shared.news.store(true, Ordering::Release);
    }
}

impl Drop for View {
    /// However a run ends, the terminal is given back.
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // It must not take a key that is meant for the shell; but one whose terminal is gone may never come back.
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
                // What changes without training's doing.
                let now = (self.shared.opened.elapsed().as_secs(), interrupt::asked(), terminal::last_note());
                if self.shared.news.swap(false, Ordering::AcqRel) || last.as_ref() != Some(&now) {
                    self.draw(now.1, now.2.clone());
                    (drawn, last) = (Some(Instant::now()), Some(now));
                }
            }
            match event::poll(GLANCE) {
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
            // Training waits for this lock, but never for a slow terminal: it is written to later.
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

    /// Stops the program until the shell goes on with it. In the background lines are printed as they come; in front again, so is the view.
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
        // What cannot be taken over again stays as it is: lines.
        let _ = self.screen.again();
    }
}
