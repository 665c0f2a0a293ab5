//! Self-contained pages: data as JSON, with the modules of `web/page` that draw it.
//!
//! **Invariant:** a page makes no requests: no external script, style or image, and a policy that
//! forbids them.

use std::fmt::Write as _;

const PAGE: &str = include_str!("page.html");

/// A page: its data, and the modules that draw it.
pub(super) struct Page<'a> {
    /// The window's title, as plain text.
    pub(super) title: &'a str,
    pub(super) styles: &'a [&'a str],
    /// Modules by name, each after those that it imports; the last one exports `render(container,
    /// data)`.
    pub(super) modules: &'a [(&'a str, &'a str)],
    /// The data to render.
    pub(super) json: &'a str,
}

/// Calls the last module.
const BEGIN: &str =
    r#"render(document.getElementById("view"), JSON.parse(document.getElementById("data").textContent));"#;

impl Page<'_> {
    /// Returns the page as self-contained HTML.
    pub(super) fn html(&self) -> String {
        let last = self.modules.last().map_or("", |(name, _)| name);
        // In the order of their placeholders, so that inserted text is never searched.
        let parts = [
            ("@TITLE@", escaped(self.title)),
            ("@STYLE@", self.styles.join("\n")),
            // In JSON `<` occurs only in strings; without it, no string can close the script
            // element.
            ("@DATA@", self.json.replace('<', "\\u003c")),
            ("@PROGRAM@", format!("{}const {{ render }} = modules[\"{last}\"];\n{BEGIN}", joined(self.modules))),
        ];
        let (mut page, mut rest) = (String::new(), PAGE);
        for (place, text) in parts {
            let (before, after) = rest.split_once(place).expect("the page has that place");
            page.extend([before, &text]);
            rest = after;
        }
        page + rest
    }
}

/// Escapes text for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Combines modules into one script: each becomes a function that returns its exports, so that
/// other names do not collide.
///
/// Modules must have a simple form, as described in `profile-draw.js`: an import is one line of
/// names, an export a named function, constant or class.
fn joined(modules: &[(&str, &str)]) -> String {
    let mut script = "const modules = {};\n".to_string();
    for (name, text) in modules {
        let (mut body, mut exports) = (String::new(), Vec::new());
        for line in text.lines() {
            let line =
                if let Some((names, from)) = line.strip_prefix("import ").and_then(|rest| rest.split_once(" from ")) {
                    format!("const {names} = modules[{}];", from.trim_end_matches(';').replacen("./", "", 1))
                } else if let Some(rest) = line.strip_prefix("export ") {
                    exports.extend(exported(rest));
                    rest.to_string()
                } else {
                    line.to_string()
                };
            body += &line;
            body.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(script, "modules[\"{name}\"] = (() => {{\n{body}return {{ {} }};\n}})();", exports.join(", "));
    }
    script
}

/// Returns the name that an export declares.
fn exported(declaration: &str) -> Option<&str> {
    let words = declaration.trim_start_matches("async ").split_once(' ')?.1;
    words.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next()
}

/// Checks that modules have the form that [`joined`] supports, and follow their imports.
#[cfg(test)]
pub(super) fn check_modules(modules: &[(&str, &str)]) {
    for (at, (name, text)) in modules.iter().enumerate() {
        for line in text.lines().filter(|line| line.starts_with("import")) {
            let from = line.rsplit("\"./").next().unwrap().trim_end_matches("\";");
            assert!(modules[..at].iter().any(|(known, _)| *known == from), "{name}: {line}");
            assert!(line.starts_with("import {") && line.ends_with("\";"), "{name}: {line}");
        }
    }
}

/// Returns the text between a script's tag and its end.
#[cfg(test)]
pub(super) fn script<'a>(page: &'a str, tag: &str) -> &'a str {
    page.split_once(tag).unwrap().1.split_once("</script>").unwrap().0
}

/// Checks that a page makes no requests.
#[cfg(test)]
pub(super) fn check_alone(page: &str) {
    // The name of the SVG namespace is not an address that is fetched.
    let rest = page.replace("\"http://www.w3.org/2000/svg\"", "");
    for word in ["http:", "https:", "src=", "@import", "url(", "import(", "fetch("] {
        assert!(!rest.contains(word), "{word}");
    }
    let program = script(page, "<script type=\"module\">");
    let left = program.lines().find(|line| line.starts_with("import ") || line.starts_with("export "));
    assert_eq!(left, None);
    assert!(page.contains("default-src 'none'"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_joined() {
        let script = joined(&[("a.js", "import { b } from \"./b.js\";\nexport const c = 1;\nexport function d() {}")]);
        assert_eq!(
            script,
            "const modules = {};\nmodules[\"a.js\"] = (() => {\nconst { b } = modules[\"b.js\"];\nconst c = 1;\nfunction d() {}\nreturn { c, d };\n})();\n"
        );
    }
}
