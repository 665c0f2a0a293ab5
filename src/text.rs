//! Tables as plain text.

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
