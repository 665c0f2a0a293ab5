//! Names declared by a WGSL text at module scope, and renaming, so that several texts can be
//! combined into one module.

use std::collections::{HashMap, HashSet};

/// Returns a text without its comments, whose words are not names.
pub(super) fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code.trim_end()));
    lines.filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}

/// Returns a text without comments in which aliases are replaced by their types. naga treats a
/// vector under an alias as a different type, so that a module with both would declare its zero
/// value twice in HLSL, under the same name.
pub(super) fn without_aliases(text: &str) -> String {
    let (aliases, rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("alias "));
    let types: HashMap<_, _> =
        aliases.iter().filter_map(|line| line["alias ".len()..].trim_end_matches(';').split_once(" = ")).collect();
    let rest: String = rest.into_iter().flat_map(|line| [line, "\n"]).collect();
    renamed(&rest, |name| types.get(name).map(ToString::to_string), |_| None)
}

/// Iterator over the names of a text and the text between them.
struct Words<'a> {
    rest: &'a str,
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'a> Iterator for Words<'a> {
    /// The text before a name, and the name, which is empty at the end. Numbers with suffixes are
    /// not names.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut of_number = false;
        let start = self.rest.char_indices().find(|&(_, c)| {
            let begins = (c.is_ascii_alphabetic() || c == '_') && !of_number;
            of_number = c.is_ascii_digit() || of_number && is_of_name(c);
            begins
        });
        let (before, from) = self.rest.split_at(start.map_or(self.rest.len(), |(at, _)| at));
        let (name, rest) = from.split_at(from.find(|c| !is_of_name(c)).unwrap_or(from.len()));
        self.rest = rest;
        Some((before, name))
    }
}

/// Returns the nesting depth of braces after a piece of text.
fn depth(before: usize, text: &str) -> usize {
    text.bytes().fold(before, |depth, byte| match byte {
        b'{' => depth + 1,
        b'}' => depth.saturating_sub(1),
        _ => depth,
    })
}

/// Returns the functions, variables, constants and types that a text without comments declares at
/// module scope.
pub(super) fn declared(text: &str) -> HashSet<&str> {
    let (mut found, mut open) = (HashSet::new(), 0);
    let mut declares = false;
    for (before, name) in (Words { rest: text }) {
        open = depth(open, before);
        // The address space of a variable precedes its name: `var<private> name`.
        let of_space = before.ends_with('<') && declares;
        if declares && !of_space {
            found.insert(name);
            declares = false;
        }
        declares |= open == 0 && matches!(name, "fn" | "var" | "const" | "struct" | "alias");
    }
    found
}

/// Renames a text without comments: `rename` maps names, and `field` maps names after `p.`; `None`
/// keeps a name. Members of structs are not renamed.
pub(super) fn renamed(
    text: &str,
    rename: impl Fn(&str) -> Option<String>,
    field: impl Fn(&str) -> Option<String>,
) -> String {
    let mut out = String::with_capacity(2 * text.len());
    let (mut open, mut of_struct, mut last) = (0, None, "");
    let mut words = Words { rest: text };
    while let Some((before, name)) = words.next() {
        out += before;
        open = depth(open, before);
        if of_struct.is_some_and(|outside| open <= outside && before.contains('}')) {
            of_struct = None;
        }
        let declares_member = of_struct.is_some() && open > 0 && words.rest.trim_start().starts_with(':');
        let new = match (before.ends_with('.'), declares_member) {
            (true, _) if before == "." && last == "p" => field(name),
            (true, _) | (_, true) => None,
            _ => rename(name),
        };
        out += new.as_deref().unwrap_or(name);
        if name == "struct" {
            of_struct = Some(open);
        }
        last = name;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
// fn no_name() of a comment
const ROWS: u32 = 0x1fu; // var<private> none
alias Lane = vec4<f32>;
struct Wide { low: vec4<u32>, sum: Lane }
var<workgroup> lanes: array<Lane, 64>;
var<private> x: f32;
fn sum(a: Wide, step: u32) -> Lane {
    let local = a.sum * f32(ROWS) + 1e6f;
    return local + vec4<f32>(p.step, lanes[step].x, x, 2u);
}
";

    #[test]
    fn names_of_module_scope_are_found() {
        let text = without_comments(TEXT);
        let mut found: Vec<_> = declared(&text).into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, ["Lane", "ROWS", "Wide", "lanes", "sum", "x"]);
    }

    #[test]
    fn types_stand_in_place_of_their_aliases() {
        let text = without_aliases(&without_comments(TEXT));
        assert!(!text.contains("Lane"), "{text}");
        assert!(text.contains("struct Wide { low: vec4<u32>, sum: vec4<f32> }"), "{text}");
        assert!(text.contains("var<workgroup> lanes: array<vec4<f32>, 64>;"), "{text}");
    }

    #[test]
    fn members_swizzles_and_numbers_keep_theirs() {
        let text = without_comments(TEXT);
        let names = declared(&text);
        let renamed = renamed(
            &text,
            |name| names.contains(name).then(|| format!("{name}_7")),
            |field| Some(format!("{field}_8")),
        );
        assert_eq!(
            renamed,
            "const ROWS_7: u32 = 0x1fu;
alias Lane_7 = vec4<f32>;
struct Wide_7 { low: vec4<u32>, sum: Lane_7 }
var<workgroup> lanes_7: array<Lane_7, 64>;
var<private> x_7: f32;
fn sum_7(a: Wide_7, step: u32) -> Lane_7 {
    let local = a.sum * f32(ROWS_7) + 1e6f;
    return local + vec4<f32>(p.step_8, lanes_7[step].x, x_7, 2u);
}
"
        );
    }
}
