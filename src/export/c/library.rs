//! The C functions of exported networks, and the selection of those that a network uses.
//!
//! The C files next to this one consist of blocks (a comment and a function or a type) that are
//! separated by blank lines. A block is named by the identifier that it defines.

use std::collections::BTreeSet;

/// All functions; a block uses only earlier ones.
const FILES: [&str; 7] = [
    include_str!("windows.c"),
    include_str!("sums.c"),
    include_str!("floats.c"),
    include_str!("curves.c"),
    include_str!("integers.c"),
    include_str!("codes.c"),
    include_str!("packed.c"),
];

fn blocks() -> Vec<&'static str> {
    FILES.into_iter().flat_map(|file| file.trim_end().split("\n\n")).collect()
}

/// Returns the blocks that a text uses, directly or through others, in their order.
pub(super) fn used_by(text: &str) -> Vec<&'static str> {
    let mut wanted = identifiers(text);
    let mut used = Vec::new();
    for block in blocks().into_iter().rev() {
        if name(block).is_some_and(|name| wanted.contains(name)) {
            wanted.extend(identifiers(block));
            used.push(block);
        }
    }
    used.reverse();
    used
}

/// The names of all functions and types.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    blocks().into_iter().filter_map(name)
}

/// The identifier that a block defines: the one before the first bracket, or the first constant.
fn name(block: &str) -> Option<&str> {
    let line =
        block.lines().find(|line| ["static ", "struct ", "enum "].iter().any(|start| line.starts_with(start)))?;
    let words = |text: &'static str| move |word: &str| text.split(' ').any(|other| other == word);
    let is_type = words("static struct enum void const");
    let first = if line.starts_with("static ") { line.split('(').next()?.split([' ', '*']).next_back() } else { None };
    first.or_else(|| line.split([' ', '{', '}']).find(|word| !word.is_empty() && !is_type(word)))
}

/// The identifiers of a text outside of its comments.
pub(super) fn identifiers(text: &str) -> BTreeSet<&str> {
    let code = text.split("*/").flat_map(|part| part.split("/*").next());
    code.flat_map(|code| code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_a_name_of_its_own_and_uses_earlier_ones() {
        let all: Vec<_> = blocks();
        let names: Vec<_> = all.iter().map(|block| name(block).unwrap()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), all.len(), "{names:?}");
        for name in ["window", "source", "CHUNK", "sum", "sum_total", "conv", "popcount", "get_code"] {
            assert!(names.contains(&name), "{name} of {names:?}");
        }
        for (at, block) in all.iter().enumerate() {
            let used = identifiers(block);
            assert!(!names[at + 1..].iter().any(|later| used.contains(later)), "{block}");
        }
    }

    #[test]
    fn only_what_is_used_is_selected() {
        assert!(used_by("int nothing;").is_empty());
        let used: Vec<_> =
            used_by("relu(x); /* conv */ sum_signs(y);").into_iter().map(|block| name(block).unwrap()).collect();
        assert_eq!(used, ["relu", "popcount", "count_ones", "sum_signs"]);
    }
}
