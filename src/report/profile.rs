//! A profile as a self-contained page, drawn by the modules of the browser page.

use super::page::Page;
use crate::profile::Profile;

const STYLES: [&str; 3] = [
    include_str!("../../web/page/theme.css"),
    include_str!("../../web/page/style.css"),
    include_str!("../../web/page/profile.css"),
];

/// The page's modules by name, each after those that it imports; the last one renders.
const MODULES: [(&str, &str); 7] = [
    ("dom.js", include_str!("../../web/page/dom.js")),
    ("profile-draw.js", include_str!("../../web/page/profile-draw.js")),
    ("profile-layers.js", include_str!("../../web/page/profile-layers.js")),
    ("profile-memory.js", include_str!("../../web/page/profile-memory.js")),
    ("profile-roofline.js", include_str!("../../web/page/profile-roofline.js")),
    ("profile-table.js", include_str!("../../web/page/profile-table.js")),
    ("profile.js", include_str!("../../web/page/profile.js")),
];

/// Returns the profile as a self-contained HTML page.
pub fn profile_page(profile: &Profile) -> String {
    let title = format!("{} · halfwave profile", profile.recipe);
    Page { title: &title, styles: &STYLES, modules: &MODULES, json: &profile.to_json() }.html()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::{check_alone, check_modules, script};

    fn profile(recipe: &str) -> Profile {
        let text = include_str!("../../web/tests/fixtures/profile.json");
        Profile { recipe: recipe.to_string(), ..Profile::from_json(text, "the fixture").unwrap() }
    }

    #[test]
    fn a_page_holds_its_profile_whatever_names_say() {
        for recipe in ["digits", "</script><script>alert(1)</script>", "<!-- <script>", "@STYLE@ & \"@DATA@\"", "{}\\"]
        {
            let profile = profile(recipe);
            let page = profile_page(&profile);
            let json = script(&page, "<script id=\"data\" type=\"application/json\">");
            assert!(!json.contains('<'), "{recipe}");
            assert_eq!(Profile::from_json(json, "the page").unwrap(), profile);
            assert_eq!(page.matches("<script").count(), 2, "{recipe}");
            assert_eq!(page.matches("</script").count(), 2, "{recipe}");
            assert_eq!(page.matches("<title>").count(), 1, "{recipe}");
        }
    }

    #[test]
    fn a_page_asks_nobody_for_anything() {
        check_alone(&profile_page(&profile("digits")));
    }

    #[test]
    fn modules_stand_after_what_they_import() {
        check_modules(&MODULES);
    }
}
