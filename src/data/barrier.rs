//! A barrier against panics in code that reads files of other people.
//!
//! Decoders of pictures are large, and some of them panic on files that nobody thought of. Such a panic is a fault of that one file: it is
//! caught here and becomes an error like any other.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread will be caught and told as an error, so that a panic hook has nothing to do.
pub fn panic_is_expected() -> bool {
    GUARDED.get()
}

/// What `work` gives, or nothing if it panics; nothing is printed then. Whatever `work` has begun to change must be of no use
/// afterwards.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
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
        assert_eq!(guarded(|| 7), Some(7));
        assert!(guarded(panic_is_expected).unwrap());
        assert_eq!(guarded(|| -> u8 { panic!("a decoder's own") }), None);
        assert!(!panic_is_expected());
        // A panic outside is one as ever.
        assert!(catch_unwind(|| panic!("outside")).is_err());
    }
}
