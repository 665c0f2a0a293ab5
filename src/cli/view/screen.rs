//! The terminal while a view is on it: raw mode and the alternate screen, entered once and left however the program ends.
//!
//! **Invariant:** between [`enter`] and [`leave`], `say` and `complain` keep their lines; [`leave`] prints them, so that they are what the user finds.

use crate::cli::terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::{Position, Rect};
use ratatui::{Frame, Terminal};
use std::io::{self, BufWriter, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, TryLockError};
use std::thread;
use std::time::Duration;

/// Whether the view is on the terminal.
static UP: AtomicBool = AtomicBool::new(false);

/// Held while the terminal is written to.
static WRITING: Mutex<()> = Mutex::new(());

/// Standard output while the view is on the terminal; what comes later is lost, a last word about the cursor for example.
struct Gate;

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if is_up() { stdout().write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if is_up() { stdout().flush() } else { Ok(()) }
    }
}

/// What draws; a frame is written as a whole.
pub(super) struct Screen(Terminal<CrosstermBackend<BufWriter<Gate>>>);

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it is none, or cannot be one; nothing is changed then.
    pub(super) fn new() -> io::Result<Self> {
        let screen = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, Gate)))?;
        enter()?;
        Ok(Self(screen))
    }

    /// Takes it over again after [`leave`].
    pub(super) fn again(&mut self) -> io::Result<()> {
        enter()?;
        self.refresh();
        Ok(())
    }

    /// Draws everything anew, whatever somebody else has written over it.
    pub(super) fn refresh(&mut self) {
        let _writing = writing();
        if let Ok(size) = self.0.size() {
            // Not `clear`, which asks the terminal where its cursor is, and waits for the answer.
            let _ = self.0.resize(Rect::from((Position::ORIGIN, size)));
        }
    }

    /// Draws what has changed; nothing where the terminal was left, or does not take it any more.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) {
        let _writing = writing();
        let _ = queue!(self.0.backend_mut(), BeginSynchronizedUpdate);
        let _ = self.0.draw(render);
        let _ = execute!(self.0.backend_mut(), EndSynchronizedUpdate);
    }

    /// Rows of the terminal.
    pub(super) fn height(&self) -> u16 {
        self.0.size().map_or(0, |size| size.height)
    }
}

/// Whether the view is on the terminal.
pub(super) fn is_up() -> bool {
    UP.load(Ordering::SeqCst)
}

fn enter() -> io::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !halfwave::data::panic_is_expected() {
                leave();
                before(panic);
            }
        }));
    });
    let _writing = writing();
    enable_raw_mode()?;
    terminal::hold();
    UP.store(true, Ordering::SeqCst);
    let entered = execute!(stdout(), EnterAlternateScreen);
    drop(_writing);
    entered.inspect_err(|_| leave())
}

/// Gives the terminal back as it was, if the view is on it, and prints what was kept.
pub(in crate::cli) fn leave() {
    // A thread that dies while it draws holds the lock itself, and one whose terminal is stuck for long: the terminal is given back all the same.
    let _writing = writing();
    if UP.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), EndSynchronizedUpdate, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
        terminal::release();
    }
}

/// The right to write; none after a while of waiting.
fn writing() -> Option<MutexGuard<'static, ()>> {
    for _ in 0..50 {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
    None
}

/// Whether this program may take over the terminal: it may not while it runs in the background.
#[cfg(unix)]
pub(super) fn is_foreground() -> bool {
    // What is not known will do.
    rustix::termios::tcgetpgrp(io::stdin()).map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
pub(super) fn is_foreground() -> bool {
    true
}

/// Stops the program and what was started together with it, as the terminal does on Ctrl-Z.
#[cfg(unix)]
pub(super) fn suspend() {
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    // Until another thread has got the signal.
    thread::sleep(Duration::from_millis(100));
}

#[cfg(not(unix))]
pub(super) fn suspend() {}
