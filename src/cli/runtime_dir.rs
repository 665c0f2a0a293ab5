//! Keeps Mesa's drivers from complaining in halfwave's name.
//!
//! While adapters are enumerated, a layer of Mesa's asks Wayland for its display. Where `XDG_RUNTIME_DIR` is not set (in containers, over ssh, in cron) Wayland's library prints
//! "error: XDG_RUNTIME_DIR is invalid or not set in the environment.", which looks like an error of this program. With a folder that does not exist it finds no display and is silent.

/// Sets `XDG_RUNTIME_DIR` to a folder that does not exist, where it is not set or no absolute path. To be called first of all in `main`.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[allow(unsafe_code)]
pub(super) fn settle() {
    use std::os::unix::ffi::OsStrExt;
    let set = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| dir.as_bytes().starts_with(b"/"));
    if !set {
        // SAFETY: no other thread may read or write the environment meanwhile. There is none yet: `cli::main` calls this before anything else, the standard library starts no
        // threads before `main`, and no dependency does at load time; drivers are loaded later.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", "/nonexistent") };
    }
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub(super) fn settle() {}
