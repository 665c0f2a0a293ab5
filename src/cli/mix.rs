//! Instruction mixes as text: the list of kernels, and the details of one kernel.

use super::shader::{Candidate, Use};
use super::terminal::{bytes, grouped, table};
use halfwave::Result;
use halfwave::caps::DeviceClass;
use halfwave::graph::Phase;
use halfwave::shader::{Access, Counts, InstructionKind, InstructionMix, Shader, Space, Traffic};

/// Explanation of the columns, printed after the last view.
const LEGEND: &str = "\
Columns: `once` counts instructions outside of loops, `in n loops` those inside n nested loops, for one
iteration of each. Iteration counts are read from a uniform and known only at run time; loops of constant
length are multiplied out. A vector counts each of its lanes, an `if` both of its branches, a call the
function called. Loads and stores are given with their bytes; `local` is a variable of the invocation,
usually a register. `/ output` divides by the number of output elements per invocation of the first launch.
";

/// Returns a one-line title: the kernel's label, its layers and its constants.
pub(super) fn title(candidate: &Candidate) -> String {
    let layers = layers(&candidate.uses);
    let of = if layers.is_empty() { String::new() } else { format!(" of {}", layers.join(", ")) };
    let constants = constants(candidate);
    let with = if constants.is_empty() { constants } else { format!(" ({constants})") };
    format!("{}{of}{with}", candidate.kernel.label)
}

fn layers(uses: &[Use]) -> Vec<String> {
    let mut layers = Vec::new();
    for (layer, _) in uses.iter().filter_map(|used| used.layer.as_ref()) {
        if !layers.contains(layer) {
            layers.push(layer.clone());
        }
    }
    layers
}

fn constants(candidate: &Candidate) -> String {
    let constants = candidate.kernel.constants.iter().map(|(name, value)| format!("{name} {value}"));
    constants.collect::<Vec<_>>().join(", ")
}

fn classes(candidate: &Candidate) -> &'static str {
    match candidate.classes[..] {
        [DeviceClass::Gpu] => "gpu",
        [DeviceClass::Software] => "software",
        _ => "both",
    }
}

/// Returns a table with one row per kernel.
pub(super) fn list(candidates: &[Candidate]) -> Result<String> {
    let mut rows = "kernel\tfor\tthreads\tworkgroup\tinnermost, one iteration\tconstants\tlayers\n".to_string();
    for candidate in candidates {
        let shader = Shader::of(&candidate.kernel)?;
        let memory = if shader.workgroup_bytes > 0 { bytes(shader.workgroup_bytes.into()) } else { "-".to_string() };
        rows += &format!(
            "{}\t{}\t{}\t{memory}\t{}\t{}\t{}\n",
            shader.label,
            classes(candidate),
            shader.threads,
            summary(&shader.mix),
            constants(candidate),
            layers(&candidate.uses).join(", "),
        );
    }
    Ok(format!("{}\n`halfwave shader KERNEL` shows one in detail.\n", table("lllllll", &rows)))
}

/// Summarises the innermost loop in one line.
fn summary(mix: &InstructionMix) -> String {
    let counts = mix.innermost();
    let depth = mix.by_depth().len() - 1;
    let kinds = [
        InstructionKind::MatrixProduct,
        InstructionKind::Popcount,
        InstructionKind::PackedDot,
        InstructionKind::Fma,
        InstructionKind::Float,
        InstructionKind::Special,
        InstructionKind::Integer,
        InstructionKind::Barrier,
    ];
    let mut parts: Vec<_> = kinds
        .into_iter()
        .filter(|kind| counts.of(*kind) > 0)
        .map(|kind| format!("{} {}", grouped(counts.of(kind)), kind.name()))
        .collect();
    for space in [Space::Storage, Space::Workgroup] {
        let (loads, stores) = (counts.loads(space).count, counts.stores(space).count);
        if loads + stores > 0 {
            parts.push(format!("{}+{} {}", grouped(loads), grouped(stores), space.name()));
        }
    }
    format!("{}: {}", column(depth), parts.join(", "))
}

fn column(depth: usize) -> String {
    match depth {
        0 => "once".to_string(),
        1 => "in 1 loop".to_string(),
        _ => format!("in {depth} loops"),
    }
}

/// Returns the details of several kernels, followed by the legend.
pub(super) fn views(candidates: &[Candidate]) -> Result<String> {
    let mut text = String::new();
    for candidate in candidates {
        text += &view(candidate)?;
        text.push('\n');
    }
    Ok(text + LEGEND)
}

fn view(candidate: &Candidate) -> Result<String> {
    let shader = Shader::of(&candidate.kernel)?;
    let of = match classes(candidate) {
        "both" => "for all devices".to_string(),
        class => format!("for devices of the class {class}"),
    };
    let mut text = format!("{}, {of}\n\n", shader.label);
    let mut fact = |name: &str, what: &str| text += &format!("  {name:<11}{what}\n");
    for used in &candidate.uses {
        fact("launched", &launched(&shader, used));
    }
    let constants = constants(candidate);
    if !constants.is_empty() {
        fact("constants", &constants);
    }
    let memory = match shader.workgroup_bytes {
        0 => "no workgroup memory".to_string(),
        some => format!("{} of workgroup memory", bytes(some.into())),
    };
    fact("workgroup", &format!("{} invocations, {memory}", shader.threads));
    let name_len = shader.bindings.iter().map(|bound| bound.name.len()).max().unwrap_or(0);
    for bound in &shader.bindings {
        let (how, what) = match bound.access {
            Access::Read => ("read", format!("array<{}>", bound.element)),
            Access::Write => ("read_write", format!("array<{}>", bound.element)),
            Access::Uniform => ("uniform", format!("{} bytes", bound.element_bytes)),
        };
        fact("binding", &format!("{:<name_len$}  {how:<10}  {what}", bound.name));
    }
    text.push('\n');
    let outputs = candidate.uses.first().map(|used| shader.outputs_per_invocation(used.output.len(), used.groups));
    text += &counts(&shader.mix, outputs);
    Ok(text)
}

/// Returns a line such as `conv2, forward: i16[64×8×8×32], 64 workgroups, 32 outputs per
/// invocation`.
fn launched(shader: &Shader, used: &Use) -> String {
    let who = match &used.layer {
        None => "sample".to_string(),
        Some((layer, Phase::Forward)) => format!("{layer}, forward"),
        Some((layer, Phase::Backward)) => format!("{layer}, backward"),
        Some((layer, Phase::Update)) => format!("{layer}, update"),
    };
    let [x, y] = used.groups.map(u64::from);
    let outputs = shader.outputs_per_invocation(used.output.len(), used.groups);
    let groups = if x * y == 1 { "1 workgroup".to_string() } else { format!("{} workgroups", grouped(x * y)) };
    format!("{who}: {}, {groups}, {} outputs per invocation", used.output, number(outputs))
}

/// Returns the table of counts by loop depth; the first and last depth are also given per output
/// element.
fn counts(mix: &InstructionMix, outputs: Option<f64>) -> String {
    let depths = mix.by_depth();
    let mut head = vec![String::new()];
    head.extend((0..depths.len()).map(column));
    let by_output: &[usize] = match outputs {
        None => &[],
        Some(_) if depths.len() == 1 => &[0],
        Some(_) => &[0, depths.len() - 1],
    };
    head.extend(by_output.iter().map(|depth| format!("{} / output", column(*depth))));
    let mut rows = head.join("\t") + "\n";
    let mut row = |name: String, count: &dyn Fn(&Counts) -> u64, cell: &dyn Fn(&Counts) -> String| {
        if depths.iter().all(|counts| count(counts) == 0) {
            return;
        }
        let mut row = vec![format!("  {name}")];
        row.extend(depths.iter().map(cell));
        row.extend(by_output.iter().map(|depth| number(count(&depths[*depth]) as f64 / outputs.unwrap_or(1.0))));
        rows += &(row.join("\t") + "\n");
    };
    for kind in InstructionKind::ALL {
        row(kind.name().to_string(), &|counts| counts.of(kind), &|counts| plain(counts.of(kind)));
    }
    for space in Space::ALL {
        let (loads, stores) = (|counts: &Counts| counts.loads(space), |counts: &Counts| counts.stores(space));
        row(format!("load {}", space.name()), &|counts| loads(counts).count, &|counts| traffic(loads(counts)));
        row(format!("store {}", space.name()), &|counts| stores(counts).count, &|counts| traffic(stores(counts)));
    }
    table(&format!("l{}", "r".repeat(depths.len() + by_output.len())), &rows)
}

fn plain(count: u64) -> String {
    if count == 0 { "-".to_string() } else { grouped(count) }
}

fn traffic(traffic: Traffic) -> String {
    match traffic.count {
        0 => "-".to_string(),
        count => format!("{} ({} B)", grouped(count), grouped(traffic.bytes)),
    }
}

/// Formats a number with three significant digits.
fn number(value: f64) -> String {
    match value {
        0.0 => "-".to_string(),
        _ if value.fract() == 0.0 => grouped(value as u64),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let numbers = [0.0, 4.0, 0.0625, 1.5, 12.34, 123.4, 1234.0].map(number);
        assert_eq!(numbers, ["-", "4", "0.062", "1.50", "12.3", "123", "1,234"]);
    }
}
