//! The terminal while a view is open: raw mode and the alternate screen, entered once and left
//! however the program ends.
//!
//! **Invariant:** between [`enter`] and [`leave`], `say` and `complain` hold back their lines;
//! [`leave`] prints them on the restored terminal.

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

/// Whether the view occupies the terminal.
static UP: AtomicBool = AtomicBool::new(false);

/// Locked while the terminal is written to.
static WRITING: Mutex<()> = Mutex::new(());

/// Standard output while the view occupies the terminal. Later output is discarded, such as a final
/// command for the cursor.
struct Gate;

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if is_up() { stdout().write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if is_up() { stdout().flush() } else { Ok(()) }
    }
}

/// The drawing surface; each frame is written as a whole.
pub(super) struct Screen(Terminal<CrosstermBackend<BufWriter<Gate>>>);

impl Screen {
    /// Takes over the terminal.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if standard output is not a terminal or does not
    /// support raw mode.
    pub(super) fn new() -> io::Result<Self> {
        let screen = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, Gate)))?;
        enter()?;
        Ok(Self(screen))
    }

    /// Takes over the terminal again after [`leave`].
    pub(super) fn again(&mut self) -> io::Result<()> {
        enter()?;
        self.refresh();
        Ok(())
    }

    /// Redraws everything, in case other output has overwritten it.
    pub(super) fn refresh(&mut self) {
        let _writing = writing();
        if let Ok(size) = self.0.size() {
            // Not `clear`, which queries the terminal for the cursor position and waits for the
            // answer.
            let _ = self.0.resize(Rect::from((Position::ORIGIN, size)));
        }
    }

    /// Draws what has changed; does nothing if the terminal was left or no longer accepts output.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) {
        let _writing = writing();
        let _ = queue!(self.0.backend_mut(), BeginSynchronizedUpdate);
        let _ = self.0.draw(render);
        let _ = execute!(self.0.backend_mut(), EndSynchronizedUpdate);
    }

    /// Returns the number of rows of the terminal.
    pub(super) fn height(&self) -> u16 {
        self.0.size().map_or(0, |size| size.height)
    }
}

/// Returns whether the view occupies the terminal.
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

/// Restores the terminal if the view occupies it, and prints the lines that were held back.
pub(in crate::cli) fn leave() {
    // The lock is held by this thread if it panics while drawing, or by another thread for long if
    // the terminal is stuck: the terminal is restored anyway.
    let _writing = writing();
    if UP.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), EndSynchronizedUpdate, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
        terminal::release();
    }
}

/// Locks the terminal for writing; returns `None` after waiting for a while.
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

/// Returns whether this program may take over the terminal, which it may not while it runs in the
/// background.
#[cfg(unix)]
pub(super) fn is_foreground() -> bool {
    // If this cannot be determined, the program is assumed to be in the foreground.
    rustix::termios::tcgetpgrp(io::stdin()).map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
pub(super) fn is_foreground() -> bool {
    true
}

/// Stops the program's process group, as the terminal does on Ctrl-Z.
#[cfg(unix)]
pub(super) fn suspend() {
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    // Waits until another thread has received the signal.
    thread::sleep(Duration::from_millis(100));
}

#[cfg(not(unix))]
pub(super) fn suspend() {}
