//! Catches panics in code that decodes untrusted files.
//!
//! Picture decoders are large, and some of them panic on malformed files. Such a panic concerns
//! only that file: it is caught here and becomes an ordinary error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread will be caught and reported as an error, so that a panic hook
/// should ignore it.
pub fn panic_is_expected() -> bool {
    GUARDED.get()
}

/// Runs `work` and returns its result, or `None` if it panics; nothing is printed then. State that
/// `work` modified must not be used after a panic.
pub(super) fn catch_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !panic_is_expected() {
                before(panic);
            }
        }));
    });
    GUARDED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_nothing_and_leaves_no_trace() {
        assert_eq!(catch_panic(|| 7), Some(7));
        assert!(catch_panic(panic_is_expected).unwrap());
        assert_eq!(catch_panic(|| -> u8 { panic!("a decoder's panic") }), None);
        assert!(!panic_is_expected());
        // A panic outside is handled as usual.
        assert!(catch_unwind(|| panic!("outside")).is_err());
    }
}
