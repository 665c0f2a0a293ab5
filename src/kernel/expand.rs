//! Two directives that WGSL lacks, written as comments in a shader: unrolled loops and conditional
//! parts.
//!
//! ```text
//! //: for m in ROWS            the lines up to `end`, ROWS (a constant or a number) times, with $m replaced by 0, 1, …
//! //: if NORMALISED            the lines up to `else` or `end` where the constant is not 0
//! //: else
//! //: end
//! ```
//!
//! Registers are named in this way (`acc$m`) instead of being indexed, because an array that a
//! driver does not unroll is placed in memory. Directives can be nested.

use std::str::Lines;

/// Expands the directives of a shader with its compile-time constants.
///
/// # Panics
///
/// Panics on an unknown constant or an unbalanced directive: a bug in a shader, caught by the
/// contract test.
pub(super) fn expand(text: &str, constants: &[(&'static str, u32)]) -> String {
    let mut out = String::with_capacity(text.len());
    let closed = block(&mut text.lines(), constants, true, &mut out);
    assert!(closed == Closed::Text, "`{closed:?}` without a beginning in a shader");
    out
}

#[derive(PartialEq, Debug)]
enum Closed {
    Text,
    Else,
    End,
}

fn block(lines: &mut Lines<'_>, constants: &[(&'static str, u32)], keep: bool, out: &mut String) -> Closed {
    while let Some(line) = lines.next() {
        let Some(directive) = line.trim_start().strip_prefix("//: ") else {
            if keep {
                out.push_str(line);
                out.push('\n');
            }
            continue;
        };
        let words: Vec<_> = directive.split_whitespace().collect();
        match words[..] {
            ["for", name, "in", count] => {
                let mut body = String::new();
                let closed = block(lines, constants, keep, &mut body);
                assert!(closed == Closed::End, "`for {name}` without an end");
                for index in 0..value(count, constants) {
                    out.push_str(&body.replace(&format!("${name}"), &index.to_string()));
                }
            }
            ["if", name] => {
                let truth = value(name, constants) != 0;
                let mut closed = block(lines, constants, keep && truth, out);
                if closed == Closed::Else {
                    closed = block(lines, constants, keep && !truth, out);
                }
                assert!(closed == Closed::End, "`if {name}` without an end");
            }
            ["else"] => return Closed::Else,
            ["end"] => return Closed::End,
            _ => panic!("unknown directive `{directive}`"),
        }
    }
    Closed::Text
}

fn value(name: &str, constants: &[(&'static str, u32)]) -> u32 {
    if let Ok(number) = name.parse() {
        return number;
    }
    let constant = constants.iter().find(|(constant, _)| *constant == name);
    constant.unwrap_or_else(|| panic!("a directive names the unknown constant {name}")).1
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn loops_nest_and_conditions_choose() {
        let text =
            "a\n//: for m in M\n//: for n in N\nx$m$n\n//: end\n//: if YES\ny$m\n//: else\nz\n//: end\n//: end\nb";
        let out = expand(text, &[("M", 2), ("N", 2), ("YES", 1)]);
        assert_eq!(out, "a\nx00\nx01\ny0\nx10\nx11\ny1\nb\n");
        assert_eq!(expand("//: if NO\n//: if NO\na\n//: end\n//: else\nb\n//: end", &[("NO", 0)]), "b\n");
    }

    #[test]
    #[should_panic(expected = "without an end")]
    fn an_open_loop_is_found() {
        expand("//: for m in M\nx", &[("M", 1)]);
    }
}
