//! Self-contained pages: data as JSON in a page that draws it. `web/bundle.mjs` makes these pages
//! from the modules and styles in `web/page`.
//!
//! **Invariant:** a page makes no requests: no external script, style or image, and a policy that
//! forbids them.

/// Returns a page with its title, as plain text, and its data.
pub(super) fn page(bundle: &str, title: &str, json: &str) -> String {
    let expected = "the page has a title, followed by data";
    let (head, rest) = bundle.split_once("@TITLE@").expect(expected);
    let (style, program) = rest.split_once("@DATA@").expect(expected);
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // In JSON `<` occurs only in strings; without it, no string can close the script element.
    [head, &title, style, &json.replace('<', "\\u003c"), program].concat()
}
