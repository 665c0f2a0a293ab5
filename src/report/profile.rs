//! A profile as a page in one file: the browser page's own view of it, with everything that it needs inside.
//!
//! **Invariant:** the page asks nobody for anything: no script, style or picture from elsewhere, and a policy that forbids it.

use crate::profile::Profile;
use std::fmt::Write as _;

const PAGE: &str = include_str!("profile.html");

const STYLES: [&str; 3] = [
    include_str!("../../web/page/theme.css"),
    include_str!("../../web/page/style.css"),
    include_str!("../../web/page/profile.css"),
];

/// The view's modules by name, each after those that it imports; the last one renders.
const MODULES: [(&str, &str); 7] = [
    ("dom.js", include_str!("../../web/page/dom.js")),
    ("profile-draw.js", include_str!("../../web/page/profile-draw.js")),
    ("profile-layers.js", include_str!("../../web/page/profile-layers.js")),
    ("profile-memory.js", include_str!("../../web/page/profile-memory.js")),
    ("profile-roofline.js", include_str!("../../web/page/profile-roofline.js")),
    ("profile-table.js", include_str!("../../web/page/profile-table.js")),
    ("profile.js", include_str!("../../web/page/profile.js")),
];

/// What the page does with the last module.
const BEGIN: &str =
    r#"render(document.getElementById("view"), JSON.parse(document.getElementById("profile").textContent));"#;

/// The profile as an HTML page that needs nothing else.
pub fn profile_page(profile: &Profile) -> String {
    // In JSON a `<` stands only in strings, and without one no name can end the script that holds it.
    let json = profile.to_json().replace('<', "\\u003c");
    // In the order of their places, so that what is filled in is never searched.
    let parts = [
        ("@TITLE@", escaped(&format!("{} · halfwave profile", profile.recipe))),
        ("@STYLE@", STYLES.join("\n")),
        ("@PROFILE@", json),
        ("@PROGRAM@", format!("{}const {{ render }} = modules[\"profile.js\"];\n{BEGIN}", joined(&MODULES))),
    ];
    let (mut page, mut rest) = (String::new(), PAGE);
    for (place, text) in parts {
        let (before, after) = rest.split_once(place).expect("the page has that place");
        page.extend([before, &text]);
        rest = after;
    }
    page + rest
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Modules as one script: each a function that gives what it exports, so that their other names do not meet.
///
/// They keep to a simple form, as `profile-draw.js` says: an import is one line of names, an export a named function, constant or class.
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

/// The name that an export gives.
fn exported(declaration: &str) -> Option<&str> {
    let words = declaration.trim_start_matches("async ").split_once(' ')?.1;
    words.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(recipe: &str) -> Profile {
        let text = include_str!("../../web/tests/fixtures/profile.json");
        Profile { recipe: recipe.to_string(), ..Profile::from_json(text, "the fixture").unwrap() }
    }

    /// What stands between a script's tag and its end.
    fn script<'a>(page: &'a str, tag: &str) -> &'a str {
        page.split_once(tag).unwrap().1.split_once("</script>").unwrap().0
    }

    #[test]
    fn a_page_holds_its_profile_whatever_names_say() {
        for recipe in
            ["digits", "</script><script>alert(1)</script>", "<!-- <script>", "@STYLE@ & \"@PROFILE@\"", "{}\\"]
        {
            let profile = profile(recipe);
            let page = profile_page(&profile);
            let json = script(&page, "<script id=\"profile\" type=\"application/json\">");
            assert!(!json.contains('<'), "{recipe}");
            assert_eq!(Profile::from_json(json, "the page").unwrap(), profile);
            assert_eq!(page.matches("<script").count(), 2, "{recipe}");
            assert_eq!(page.matches("</script").count(), 2, "{recipe}");
            assert_eq!(page.matches("<title>").count(), 1, "{recipe}");
        }
    }

    #[test]
    fn a_page_asks_nobody_for_anything() {
        let page = profile_page(&profile("digits"));
        // The name of SVG's vocabulary is no address that anything is fetched from.
        let rest = page.replace("\"http://www.w3.org/2000/svg\"", "");
        for word in ["http:", "https:", "src=", "@import", "url(", "import(", "fetch("] {
            assert!(!rest.contains(word), "{word}");
        }
        let program = script(&page, "<script type=\"module\">");
        let left = program.lines().find(|line| line.starts_with("import ") || line.starts_with("export "));
        assert_eq!(left, None);
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn modules_stand_after_what_they_import() {
        for (at, (name, text)) in MODULES.iter().enumerate() {
            for line in text.lines().filter(|line| line.starts_with("import")) {
                let from = line.rsplit("\"./").next().unwrap().trim_end_matches("\";");
                assert!(MODULES[..at].iter().any(|(known, _)| *known == from), "{name}: {line}");
                assert!(line.starts_with("import {") && line.ends_with("\";"), "{name}: {line}");
            }
        }
        let script = joined(&[("a.js", "import { b } from \"./b.js\";\nexport const c = 1;\nexport function d() {}")]);
        assert_eq!(
            script,
            "const modules = {};\nmodules[\"a.js\"] = (() => {\nconst { b } = modules[\"b.js\"];\nconst c = 1;\nfunction d() {}\nreturn { c, d };\n})();\n"
        );
    }
}
