//! Prevents a misleading error message of Mesa's drivers.
//!
//! While adapters are enumerated, one of Mesa's layers connects to Wayland. If `XDG_RUNTIME_DIR` is
//! not set (in containers, over ssh, in cron), Wayland's library prints "error: XDG_RUNTIME_DIR is
//! invalid or not set in the environment.", which looks like an error of this program. With a
//! folder that does not exist, it finds no display and prints nothing.

/// Sets `XDG_RUNTIME_DIR` to a folder that does not exist, if it is unset or not an absolute path.
///
/// Must be called first in `main`.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[allow(unsafe_code)]
pub(super) fn ensure() {
    use std::os::unix::ffi::OsStrExt;
    let set = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| dir.as_bytes().starts_with(b"/"));
    if !set {
        // SAFETY: no other thread may read or write the environment at the same time. There is none
        // yet: `cli::main` calls this before anything else, the standard library starts no threads
        // before `main`, and no dependency does at load time; drivers are loaded later.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", "/nonexistent") };
    }
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub(super) fn ensure() {}
