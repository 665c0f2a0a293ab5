//! Structure of the source: dependencies between layers of modules, places of wgpu and `unsafe`,
//! shaders, and file lengths.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every module of `src/`, by layer ("floor"), lowest first. A module uses modules of its own layer
/// and of lower ones.
const FLOORS: [&[&str]; 6] = [
    &[
        "tensor", "bits", "halves", "kernel", "caps", "variant", "random", "lloyd", "parallel", "simd", "error",
        "stop", "schema", "text", "version",
    ],
    &["model", "graph", "ops", "pass", "shader", "custom"],
    &["plan"],
    &["backend", "selftest", "first_use", "profile", "testing"],
    &["recipe", "data", "metrics", "plots", "train", "report", "files", "experiment", "network", "prelude", "export"],
    &["main", "cli", "web"],
];

/// Names at the crate's root other than modules, with the module that defines them.
const AT_THE_ROOT: [(&str, &str); 3] = [("Error", "error"), ("Result", "error"), ("params", "kernel")];

const RUST_LINES: usize = 500;
const WGSL_LINES: usize = 250;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files below `folder` with this extension, by path from the repository's root, with
/// their text.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// Returns the module of `src/` that a file belongs to.
fn module_of(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Returns the text without comments.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{}\n", line.split(" // ").next().unwrap())).collect()
}

/// Returns the first names after every `crate::`, also inside braces.
fn uses(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(leading_name(rest));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.insert(leading_name(item.trim()));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        names.insert(leading_name(item.trim()));
    }
    names.remove("");
    names
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The module of something that is named behind `crate::`.
fn home(name: &str) -> &str {
    AT_THE_ROOT.iter().find(|(known, _)| *known == name).map_or(name, |(_, module)| module)
}

/// Describes uses of higher layers in a file.
fn upward(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    if module == "lib" {
        return Vec::new(); // it names every module
    }
    let Some(own) = floor(module) else { return vec![format!("{file}: give the module {module} a floor")] };
    let names = uses(&code(text)).into_iter();
    names
        .filter_map(|name| {
            let target = home(&name);
            match floor(target) {
                None => Some(format!("{file} uses crate::{name}: give it a floor")),
                Some(floor) if floor > own => Some(format!("{file} (floor {own}) uses {target} (floor {floor})")),
                Some(_) => None,
            }
        })
        .collect()
}

#[test]
fn no_module_uses_a_higher_floor() {
    let sources = files("src", "rs");
    assert!(sources.len() > 40, "only {} sources", sources.len());
    let mut wrong: Vec<String> = sources.iter().flat_map(|(file, text)| upward(file, text)).collect();
    // Ways to bypass the check.
    for (file, text) in &sources {
        let top = file.ends_with("/mod.rs") || file.matches('/').count() == 1;
        let beyond = if top && file.matches('/').count() <= 2 { "\nuse super::" } else { "super::super::" };
        if code(&format!("\n{text}")).contains(beyond) && !file.starts_with("src/backend/gpu/") {
            wrong.push(format!("{file}: write crate:: in place of super:: to leave the module"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The modules that can be reached from each module by uses.
fn reached(uses: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut reached = uses.clone();
    for _ in 0..uses.len() {
        for module in uses.keys() {
            let further =
                reached[module].iter().filter_map(|next| uses.get(next)).flatten().cloned().collect::<Vec<_>>();
            reached.get_mut(module).unwrap().extend(further);
        }
    }
    reached
}

/// Modules that use each other cannot be understood, or taken out, one by one.
#[test]
fn no_modules_use_each_other() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in files("src", "rs") {
        let module = module_of(&file);
        // Tests may look at how a module is used.
        let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if module == "lib" || file.ends_with("/tests.rs") {
            continue;
        }
        let names = uses(&code(own)).into_iter().map(|name| home(&name).to_string());
        let others = names.filter(|name| floor(name).is_some() && name != module);
        used.entry(module.to_string()).or_default().extend(others);
    }
    let circular: Vec<_> = reached(&used).into_iter().filter(|(module, all)| all.contains(module)).collect();
    assert!(circular.is_empty(), "modules that use themselves through others: {circular:?}");
    let pair = |a: &str, b: &str| (a.to_string(), BTreeSet::from([b.to_string()]));
    let all = reached(&BTreeMap::from([pair("a", "b"), pair("b", "c"), pair("c", "a"), pair("d", "a")]));
    assert!(all["a"].contains("a") && !all["d"].contains("d"));
}

#[test]
fn upward_uses_are_found() {
    let text = "use crate::{Result, ops::{self, Op}, plan::{lower, slots}};\n// use crate::backend;\nfn f() { crate::params!(); }";
    let names: Vec<_> = uses(&code(text)).into_iter().collect();
    assert_eq!(names, ["Result", "ops", "params", "plan"]);
    assert_eq!(upward("src/ops/add.rs", text), ["src/ops/add.rs (floor 1) uses plan (floor 2)"]);
    assert_eq!(upward("src/tensor.rs", text).len(), 2);
    assert!(upward("src/backend/cpu.rs", text).is_empty());
    assert_eq!(upward("src/bits.rs", "use crate::nowhere::X;").len(), 1);
    assert_eq!(upward("src/attic/mod.rs", "").len(), 1);
}

#[test]
fn the_architecture_names_the_same_floors() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let exists = |module: &str| {
        root().join("src").join(module).is_dir() || root().join("src").join(format!("{module}.rs")).is_file()
    };
    for (floor, modules) in FLOORS.iter().enumerate() {
        let row = text.lines().find(|line| line.starts_with(&format!("| {floor} |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for floor {floor}"));
        for module in modules.iter().filter(|module| exists(module)) {
            assert!(row.contains(&format!("`{module}`")), "ARCHITECTURE.md: floor {floor} does not name {module}");
        }
    }
}

#[test]
fn wgpu_has_its_place_and_unsafe_code_too() {
    for (file, text) in files("src", "rs") {
        let code = code(&text);
        let wgpu = code.contains("wgpu::") || code.contains("use wgpu");
        assert!(!wgpu || file.starts_with("src/backend/gpu/"), "{file} uses wgpu; only src/backend/gpu may");
        let naga = code.contains("naga::") || code.contains("use naga");
        assert!(!naga || file.starts_with("src/shader/"), "{file} uses naga; only src/shader may");
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let unsafe_code = words.filter(|word| *word == "unsafe").count();
        let audited = match file.as_str() {
            // Two calls that start and stop a graphics debugger's capture.
            "src/backend/gpu/capture.rs" => 2,
            // A call that creates a shader module without runtime checks, and one that enables
            // experimental features.
            "src/backend/gpu/trusted.rs" => 2,
            // An environment variable, set before there are threads.
            "src/cli/runtime_dir.rs" => 1,
            _ => 0,
        };
        assert_eq!(unsafe_code, audited, "unsafe code in {file}");
    }
}

#[test]
fn every_shader_belongs_to_an_op_or_a_probe_and_each_finds_its_shaders() {
    let shaders: BTreeSet<String> = files("shaders", "wgsl").into_iter().map(|(file, _)| file).collect();
    let mut included = BTreeSet::new();
    for (file, text) in files("src", "rs") {
        for rest in code(&text).split("include_str!(\"").skip(1) {
            let path = rest.split('"').next().unwrap();
            if path.ends_with(".wgsl") {
                let place = if path.contains("/probe_") { "src/profile/probes.rs" } else { "src/ops/" };
                assert!(file.starts_with(place), "{file} includes {path}: shaders belong to ops, or to the probes");
                included.insert(path.trim_start_matches("../").to_string());
            }
        }
    }
    assert!(shaders.len() > 30, "only {} shaders", shaders.len());
    assert_eq!(shaders, included, "left: files in shaders/; right: included by an op or the probes");
}

#[test]
fn files_are_short() {
    let rust = ["src", "tests", "benches", "examples", "infer", "web/wasm/src", "web/infer/src"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"));
    let wgsl = files("shaders", "wgsl").into_iter().map(|file| (file, WGSL_LINES));
    let long: Vec<_> = rust
        .map(|file| (file, RUST_LINES))
        .chain(wgsl)
        .filter(|((_, text), most)| text.lines().count() > *most)
        .map(|((file, text), most)| format!("{file} has {} lines, more than {most}", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
