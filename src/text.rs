//! Plain text for terminals: tables, and excerpts of files.

use std::ops::Range;

/// Formats lines of cells, separated by tabs, as columns that are as wide as their widest cells.
/// `align` has a letter for each column: `r` for numbers, aligned to the right, `l` for words.
///
/// If the table is wider than `width`, cells of its widest columns of words are broken into several
/// lines.
///
/// ```
/// let table = halfwave::text::columns("lr", "kernel\tms\nconv\t12.5\n", None);
/// assert_eq!(table, "kernel    ms\nconv    12.5\n");
/// ```
pub fn columns(align: &str, cells: &str, width: Option<usize>) -> String {
    let rows: Vec<Vec<&str>> = cells.lines().map(|row| row.split('\t').collect()).collect();
    let longest =
        |at: usize, of: fn(&str) -> usize| rows.iter().filter_map(|row| row.get(at).map(|cell| of(cell))).max();
    let mut widths: Vec<_> = (0..align.len()).map(|at| longest(at, length).unwrap_or(0)).collect();
    let least = |(at, align)| if align == 'r' { widths[at] } else { longest(at, longest_word).unwrap_or(0) };
    let least: Vec<_> = align.chars().enumerate().map(least).collect();
    while width.is_some_and(|most| widths.iter().map(|width| width + 2).sum::<usize>() > most + 2) {
        let broken = widths.iter_mut().zip(&least).filter(|(width, least)| **width > **least);
        let Some((widest, _)) = broken.max() else { break };
        *widest -= 1;
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| broken(cell, width)).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let padded = cells.iter().zip(&widths).zip(align.chars()).map(|((lines, &width), align)| {
                let part = lines.get(line).map_or("", String::as_str);
                if align == 'r' { format!("{part:>width$}") } else { format!("{part:<width$}") }
            });
            text += padded.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
    }
    text
}

fn length(text: &str) -> usize {
    text.trim_end().chars().count()
}

/// Splits a cell where it can be broken: between words, and behind the separators of names.
fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split_inclusive([' ', ',', '+', '_'])
}

fn longest_word(cell: &str) -> usize {
    words(cell).map(length).max().unwrap_or(0)
}

/// Breaks a cell into lines of at most `width` characters.
fn broken(cell: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(cell) {
        let last = lines.len() - 1;
        if lines[last].is_empty() || lines[last].chars().count() + length(word) <= width {
            lines[last] += word;
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

/// Widest excerpt of a line, in columns.
const EXCERPT: usize = 100;

/// The line of `text` in which `span` starts, with its number, and `^^^` below the span, each after
/// a line break; empty if the span is the whole text or starts on a blank line.
///
/// A tab is shown as 4 spaces, and a control character as `\u{fffd}`; of a long line only the
/// surroundings of the span are shown.
pub(crate) fn excerpt(text: &str, span: &Range<usize>) -> String {
    let start = span.start.min(text.len());
    let (Some(before), Some(rest)) = (text.get(..start), text.get(start..)) else { return String::new() };
    let from = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text[from..].lines().next().unwrap_or_default();
    let whole = start == 0 && span.end >= text.trim_end().len() && text.trim_end().contains('\n');
    if whole || line.trim().is_empty() {
        return String::new();
    }
    let number = 1 + before.matches('\n').count();
    // What is marked ends with the line.
    let length = span.end.saturating_sub(start).min(rest.lines().next().unwrap_or_default().len());
    let marked = from..start.min(from + line.len());
    let ahead: Vec<_> = cells(&text[marked]).collect();
    let within: Vec<_> = cells(text.get(start..start + length).unwrap_or_default()).collect();
    let all: Vec<_> = cells(line).collect();
    let columns = |cells: &[(char, usize)]| cells.iter().map(|(_, width)| width).sum::<usize>();
    // A long line is cut in front of the mark, with a few characters of context, and at its end.
    let skipped = if columns(&all) <= EXCERPT { 0 } else { ahead.len().saturating_sub(20) };
    let (mut shown, mut used) = (String::new(), 0);
    if skipped > 0 {
        shown.push_str("… ");
        used = 2;
    }
    let indent = used + columns(&ahead[skipped..]);
    for &(c, width) in &all[skipped..] {
        if used + width > EXCERPT {
            shown.push_str(" …");
            break;
        }
        shown.push(c);
        used += width;
    }
    let carets = columns(&within).clamp(1, (EXCERPT.saturating_sub(indent)).max(1));
    let gutter = number.to_string().len();
    let mark = format!("{}{}", " ".repeat(indent), "^".repeat(carets));
    format!("\n  {number} | {}\n  {:gutter$} | {mark}", shown.trim_end(), "")
}

/// The characters of a line as they are shown, with their widths in columns.
fn cells(line: &str) -> impl Iterator<Item = (char, usize)> {
    line.chars().flat_map(|c| match c {
        '\t' => vec![(' ', 1); 4],
        c if c.is_control() => vec![('\u{fffd}', 1)],
        c => vec![(c, width(c))],
    })
}

/// The columns that a character takes on a terminal (Unicode Standard Annex 11, without characters
/// of ambiguous width).
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[test]
fn an_excerpt_marks_what_is_meant() {
    let of = |text: &str, part: &str| {
        let start = text.find(part).expect("the part is in the text");
        excerpt(text, &(start..start + part.len()))
    };
    assert_eq!(of("a = 1\nlr = 0\n", "0"), "\n  2 | lr = 0\n    |      ^");
    assert_eq!(of("\n\n\n\n\n\n\n\n\n\tlr = nan\r\n", "nan"), "\n  10 |     lr = nan\n     |          ^^^");
    // Two columns for each of the wide characters, none for a combining one.
    assert_eq!(of("dir = \"日本\" # e\u{301}\nx", "\"日本\""), "\n  1 | dir = \"日本\" # e\u{301}\n    |       ^^^^^^");
    assert_eq!(of("e\u{301} = 1\nx", "1"), "\n  1 | e\u{301} = 1\n    |     ^");
    assert_eq!(of("a = \"\u{1b}[31m\"\nx", "a"), "\n  1 | a = \"\u{fffd}[31m\"\n    | ^");
    // Only the first line of a list.
    assert_eq!(of("a = [\n1,\n]\nb = 2", "[\n1,\n]"), "\n  1 | a = [\n    |     ^");
    // The whole document, a blank line, and positions outside of it.
    assert_eq!(excerpt("a = 1\nb = 2\n", &(0..12)), "");
    assert_eq!(excerpt("a = 1\n\n", &(6..6)), "");
    assert_eq!(excerpt("é", &(1..2)), "");
    assert_eq!(excerpt("a = ", &(4..4)), "\n  1 | a =\n    |     ^");
    assert_eq!(excerpt("a", &(7..9)), "\n  1 | a\n    |  ^");
    let long = format!("list = [{}]\nx", (0..99).map(|at| at.to_string()).collect::<Vec<_>>().join(", "));
    for part in ["list", "50", "98"] {
        let shown = of(&long, part);
        let lines: Vec<_> = shown.lines().skip(1).collect();
        let at = lines[1].find('^').expect("a mark");
        let marked: String = lines[0].chars().skip(at).take(part.len()).collect();
        assert_eq!((marked.as_str(), lines[1].matches('^').count()), (part, part.len()), "{shown}");
        assert!(lines[0].chars().count() <= EXCERPT + 10, "{shown}");
    }
}

#[test]
fn a_table_is_made_narrower_in_its_columns_of_words() {
    let cells = "layer\tkernel\tn\nbn1\tbatch_norm_stats_float,record\t1,024\n";
    assert_eq!(columns("llr", cells, None).lines().map(|line| line.chars().count()).max(), Some(5 + 29 + 5 + 4));
    let broken = "layer  kernel                n\nbn1    batch_norm_       1,024\n       stats_float,\n       record\n";
    assert_eq!(columns("llr", cells, Some(30)), broken);
    // Neither words nor numbers are broken.
    assert_eq!(columns("llr", cells, Some(1)), columns("llr", cells, Some(5 + 6 + 5 + 4)));
    assert_eq!(columns("lr", "ab\t1 2\n", Some(1)), "ab  1 2\n");
}
