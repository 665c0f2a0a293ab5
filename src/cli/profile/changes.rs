//! The difference between two profiles as a table.

use super::table::{time, word};
use crate::cli::terminal;
use halfwave::profile::diff::{Change, Diff, LayerChange, Verdict};

/// Maximum number of layers shown.
const LAYERS: usize = 20;

/// Returns the layers, the launches that changed, and a summary of those that differ only by noise.
pub(super) fn table(diff: &Diff) -> String {
    let mut text = String::new();
    diff.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    let [a, b] = diff.step_ns;
    let factor = match diff.is_judged() {
        true => format!("; most launches took {:.2}× as long", diff.machine),
        false => String::new(),
    };
    let ratio = b as f64 / a.max(1) as f64;
    text += &format!("a step without instrumentation: {} before, {} after ({ratio:.2}×){factor}\n", time(a), time(b));
    text += &layers(&diff.layers());
    let kinds = [
        (Verdict::Slower, "slower than most"),
        (Verdict::Faster, "faster than most"),
        (Verdict::New, "only in the second"),
        (Verdict::Gone, "only in the first"),
    ];
    for (verdict, title) in kinds {
        let rows: Vec<_> = diff.with(verdict).collect();
        if !rows.is_empty() {
            text += &format!("\n{title}\n{}", list(&rows));
        }
    }
    text + &format!("\n{}\n", diff.conclusion())
}

/// Returns the sums of the layers' launches, the largest difference first.
fn layers(layers: &[LayerChange<'_>]) -> String {
    let mut rows = String::new();
    for LayerChange { layer, ns: [a, b], difference_ns, launches } in layers.iter().take(LAYERS) {
        let name = if layer.is_empty() { "the whole step" } else { layer };
        let sign = if *difference_ns < 0.0 { "−" } else { "+" };
        let difference = format!("{sign}{}", time(difference_ns.abs().round() as u64));
        let changed = launches.iter().filter(|change| change.verdict.is_change()).count();
        let all = |verdict| launches.iter().all(|change| change.verdict == verdict);
        let changed = match changed {
            0 if all(Verdict::OtherDevice) => "other device".into(),
            0 if all(Verdict::Same) => "within the noise".into(),
            0 => "different work".into(),
            changed => format!("{changed} changed"),
        };
        let count = launches.len();
        let noun = if count == 1 { "launch" } else { "launches" };
        rows += &format!("  {name}\t{}\t→\t{}\t{difference}\t{count} {noun}, {changed}\n", time(*a), time(*b));
    }
    let more = layers.len().saturating_sub(LAYERS);
    let rest = if more > 0 { format!("  and {more} more, with smaller differences\n") } else { String::new() };
    let title = "by layer: sums before and after, and the difference beyond what most launches show";
    format!("\n{title}\n{}{rest}", terminal::table("lrlrrl", &rows))
}

fn list(rows: &[&Change]) -> String {
    let cell = |ns: Option<u64>| ns.map_or("-".to_string(), time);
    let line = |row: &&Change| {
        let [a, b] = row.median_ns.map(cell);
        let ratio = match row.verdict {
            Verdict::Slower | Verdict::Faster => {
                format!("{:.2}× as long; noise up to {:.2}×", row.ratio, row.noise)
            }
            _ => String::new(),
        };
        format!("  {}\t{}\t{}\t{a}\t→\t{b}\t{ratio}\n", row.layer, row.kernel, word(row.phase))
    };
    terminal::table("lllrlrl", &rows.iter().map(line).collect::<String>())
}
