//! A profile as a self-contained page.

use super::page::page;
use crate::profile::Profile;

/// Returns the profile as a self-contained HTML page.
pub fn profile_page(profile: &Profile) -> String {
    let title = format!("{} · halfwave profile", profile.recipe);
    page(include_str!("../../web/bundles/profile.html"), &title, &profile.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let (_, rest) = page.split_once("<script id=\"data\" type=\"application/json\">").unwrap();
            let (json, _) = rest.split_once("</script>").unwrap();
            assert!(!json.contains('<'), "{recipe}");
            assert_eq!(Profile::from_json(json, "the page").unwrap(), profile);
            assert_eq!(page.matches("<script").count(), 2, "{recipe}");
            assert_eq!(page.matches("</script").count(), 2, "{recipe}");
            assert_eq!(page.matches("<title>").count(), 1, "{recipe}");
        }
    }

    #[test]
    fn a_page_asks_nobody_for_anything() {
        // The name of the SVG namespace is not an address that is fetched.
        let page = profile_page(&profile("digits")).replace("\"http://www.w3.org/2000/svg\"", "");
        for word in ["http:", "https:", "src=", "@import", "url(", "import ", "import(", "fetch("] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}
