//! A profile, and the difference between two, as self-contained pages.

use super::page::page;
use crate::profile::Profile;
use crate::profile::diff::{Diff, LayerChange, Side};
use serde::Serialize;

/// Returns the profile as a self-contained HTML page.
pub fn profile_page(profile: &Profile) -> String {
    let title = format!("{} · halfwave profile", profile.recipe);
    page(include_str!("../../web/bundles/profile.html"), &title, &profile.to_json())
}

/// Returns the difference between two profiles as a self-contained HTML page: its layers, each with
/// its launches.
pub fn comparison_page(diff: &Diff) -> String {
    #[derive(Serialize)]
    struct Shown<'a> {
        sides: &'a [Side; 2],
        conclusion: String,
        judged: bool,
        recipe: &'a str,
        batch: usize,
        machine: f64,
        step_ns: [u64; 2],
        notes: &'a [String],
        layers: Vec<LayerChange<'a>>,
    }
    let Diff { sides, recipe, batch, machine, step_ns, notes, .. } = diff;
    let (batch, machine, step_ns) = (*batch, *machine, *step_ns);
    let conclusion = diff.conclusion();
    let judged = diff.is_judged();
    let shown = Shown { sides, conclusion, judged, recipe, batch, machine, step_ns, notes, layers: diff.layers() };
    let json = serde_json::to_string(&shown).expect("names and numbers are JSON");
    page(include_str!("../../web/bundles/comparison.html"), &format!("{recipe} · halfwave profiles compared"), &json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::diff::diff;

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
        let profile = profile("digits");
        for page in [profile_page(&profile), comparison_page(&diff(&profile, &profile).unwrap())] {
            // The name of the SVG namespace is not an address that is fetched.
            let page = page.replace("\"http://www.w3.org/2000/svg\"", "");
            for word in ["http:", "https:", "src=", "@import", "url(", "import ", "import(", "fetch("] {
                assert!(!page.contains(word), "{word}");
            }
            assert!(page.contains("default-src 'none'"));
        }
    }
}
