//! The documents: links lead somewhere, the guide lists its pages, its commands and recipes exist,
//! and its generated pages are up to date.
#![allow(clippy::unwrap_used)] // a test may panic

use halfwave::recipe::Recipe;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the program; its standard output.
fn halfwave(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_halfwave")).args(args).output().unwrap();
    assert!(output.status.success(), "halfwave {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The Markdown files of a folder.
fn pages(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// What is written between code fences of a language, block by block.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The text without code.
fn prose(text: &str) -> String {
    let outside = text.split("```").step_by(2).collect::<Vec<_>>().join("\n");
    outside.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n")
}

/// The targets of all links and images.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let markdown = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let html = ["src=\"", "srcset=\""].into_iter().flat_map(|key| text.split(key).skip(1));
    markdown.chain(html.map(|rest| rest.split('"').next().unwrap())).map(str::to_string).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let folders = ["", "docs", "docs/guide", "docs/measurements", "web/npm"];
    let mut checked = 0;
    for page in folders.into_iter().flat_map(pages) {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            if link.starts_with("http") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let headings = anchors(&fs::read_to_string(&target).unwrap());
                assert!(headings.contains(anchor), "{}: {link}: {headings:?}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} links");
}

/// mdBook copies what lies in the book's folder, and nothing else.
#[test]
fn the_guide_is_complete_in_itself() {
    let guide = root().join("docs/guide");
    let listed: BTreeSet<_> = links(&fs::read_to_string(guide.join("SUMMARY.md")).unwrap()).into_iter().collect();
    let there = pages("docs/guide").into_iter().map(|page| page.file_name().unwrap().to_string_lossy().into_owned());
    assert_eq!(listed, there.filter(|name| name != "SUMMARY.md").collect(), "SUMMARY.md lists every page");
    for page in pages("docs/guide") {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            assert!(!link.starts_with("../"), "{}: {link} is outside of the book", page.display());
        }
    }
}

#[test]
fn generated_pages_are_up_to_date() {
    for (name, call) in [("layers.md", ["layers", "--markdown"]), ("keys.md", ["recipe", "--markdown"])] {
        let (path, page) = (root().join("docs/guide").join(name), halfwave(&call));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &page).unwrap();
        }
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            page,
            "UPDATE_GOLDEN=1 cargo test --test guide writes {name} anew"
        );
    }
}

#[test]
fn the_program_prints_the_schema_of_recipes() {
    let printed: serde_json::Value = serde_json::from_str(&halfwave(&["recipe", "--schema"])).unwrap();
    assert_eq!(printed, halfwave::recipe::json_schema());
}

/// Recipes in the guide and in README can be read; commands name what the program has.
#[test]
fn examples_exist() {
    let help = halfwave(&["--help"]);
    let commands: BTreeSet<_> = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let (mut recipes, mut calls) = (0, 0);
    for page in pages("docs/guide").into_iter().chain([root().join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        for recipe in blocks(&text, "toml") {
            if let Err(error) = Recipe::parse(recipe, "example.toml") {
                panic!("{}: {error}\n{recipe}", page.display());
            }
            recipes += 1;
        }
        let indented = text.lines().filter_map(|line| line.strip_prefix("    "));
        for line in blocks(&text, "sh").into_iter().flat_map(str::lines).chain(indented) {
            let Some(call) = line.trim().strip_prefix("halfwave ") else { continue };
            let command = call.split_whitespace().next().unwrap();
            assert!(command.starts_with('-') || commands.contains(command), "{}: {line}", page.display());
            for option in call.split('#').next().unwrap().split_whitespace().filter(|word| word.starts_with("--")) {
                let known = halfwave(&[command, "--help"]);
                assert!(known.contains(option), "{}: {line}: {option}", page.display());
            }
            calls += 1;
        }
    }
    assert!(recipes >= 3 && calls > 20, "{recipes} recipes, {calls} commands");
}
