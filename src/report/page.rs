//! Self-contained pages: data as JSON in a page that draws it. `web/bundle.mjs` makes these pages
//! from the modules and styles in `web/page`.
//!
//! **Invariant:** a page makes no requests: no external script, style or image, and a policy that
//! forbids them.

use crate::error::{Error, Result};
use crate::files;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Returns a page with its title, as plain text, and its data.
pub(super) fn page(bundle: &str, title: &str, json: &str) -> String {
    let expected = "the page has a title, followed by data";
    let (head, rest) = bundle.split_once("@TITLE@").expect(expected);
    let (style, program) = rest.split_once("@DATA@").expect(expected);
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // In JSON `<` occurs only in strings; without it, no string can close the script element.
    [head, &title, style, &json.replace('<', "\\u003c"), program].concat()
}

/// Whether these are the first bytes of such a page, of this version or an earlier one.
fn is_page(start: &str) -> bool {
    start.starts_with("<!doctype html>")
        && start.contains("Content-Security-Policy\" content=\"default-src 'none'; style-src")
}

/// Checks that a page replaces no file but an earlier page or an empty file.
///
/// # Errors
///
/// Returns an error if it would, or if the existing file cannot be read.
pub fn check_replaced(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    match files::open(path) {
        Ok(file) if path.is_file() => file.take(512).read_to_end(&mut start).map_err(Error::io(path))?,
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io(path)(error)),
        _ => return Ok(()),
    };
    if start.is_empty() || is_page(&String::from_utf8_lossy(&start)) {
        return Ok(());
    }
    let message = "this file is not a page that halfwave wrote, and would be lost; give another name, or remove it";
    Err(Error::Usage(format!("{}: {message}", path.display())))
}
