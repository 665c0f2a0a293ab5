//! A profile as tables for the terminal.

use crate::cli::terminal::{self, bytes};
use halfwave::ops::Activity;
use halfwave::profile::{Bound, Launch, Profile, Quality};
use std::collections::BTreeMap;

/// Launches are shown until they account for this share of the time, and at most this many.
const SHARE: f64 = 0.95;
const ROWS: usize = 30;

/// Returns all tables, in reading order.
pub(super) fn table(profile: &Profile, all: bool) -> String {
    [head(profile), doubts(profile), launches(profile, all), groups(profile), memory(profile)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Formats nanoseconds in a unit that leaves three or four digits.
pub(super) fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

pub(super) fn word(activity: Activity) -> &'static str {
    match activity {
        Activity::Forward => "forward",
        Activity::Dx => "dx",
        Activity::Dw => "dw",
        Activity::Statistics => "statistics",
        Activity::Update => "update",
        Activity::Pack => "pack",
        Activity::Data => "data",
    }
}

pub(super) fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Memory => "memory",
        Bound::Arithmetic => "arithmetic",
        Bound::BitArithmetic => "bit arithmetic",
        Bound::PackedDot => "packed dot",
        Bound::MatrixArithmetic => "matrices",
        Bound::LaunchOverhead => "launch",
    }
}

pub(super) fn percent(share: f64) -> String {
    if share >= 0.1 { format!("{:.0}%", 100.0 * share) } else { format!("{:.1}%", 100.0 * share) }
}

/// Returns the device, the timer, and the times of the whole step.
fn head(profile: &Profile) -> String {
    let device = &profile.device;
    let timer = profile.timer;
    let quantum = time(timer.quantum_ns.round() as u64);
    let clock = match timer.quality {
        Quality::Exact => format!("each launch timed by the device's clock, with a resolution of {quantum}"),
        Quality::Quantised => {
            format!(
                "each launch timed by the device's clock, with a resolution of only {quantum}: short launches are repeated until they are long enough to be timed"
            )
        }
        Quality::Zero => format!(
            "the device's timestamps do not advance: each launch timed by the host's clock in a separate submission, with an overhead of {quantum}"
        ),
        Quality::Absent if device.backend == "cpu" => "each operation timed by the host's clock".to_string(),
        Quality::Absent => format!(
            "the device has no timestamps: each launch timed by the host's clock in a separate submission, with an overhead of {quantum}"
        ),
    };
    let ratio = profile.launches_ns as f64 / profile.step_ns.max(1) as f64;
    format!(
        "{device}\n{clock}\n\n\
         a step of {} images        {:>10}  without instrumentation ({:.0} images/s)\n\
         by the host's clock        {:>10}  without instrumentation, several steps in flight\n\
         with every launch timed    {:>10}  by the host's clock: includes the cost of measuring\n\
         launches add up to         {:>10}  {:.1}% of the step without instrumentation\n",
        profile.batch,
        time(profile.step_ns),
        profile.batch as f64 / profile.step_ns.max(1) as f64 * 1e9,
        time(profile.wall_ns),
        time(profile.instrumented_ns),
        time(profile.launches_ns),
        100.0 * ratio,
    )
}

/// Returns a warning about doubtful peaks, which make the column "of bound" unreliable.
fn doubts(profile: &Profile) -> String {
    let Some(ceilings) = &profile.ceilings else { return String::new() };
    let copies = ceilings.copy.iter().map(|copy| ("memory", Some(copy.ceiling)));
    let others = [
        ("float arithmetic", Some(ceilings.float)),
        ("bit arithmetic", Some(ceilings.bit)),
        ("packed dot products", ceilings.dot),
        ("cooperative matrices", ceilings.matrix),
        ("launch overhead", Some(ceilings.launch)),
    ];
    let doubtful = copies.chain(others).filter(|(_, ceiling)| ceiling.is_some_and(|ceiling| !ceiling.plausible()));
    let mut names: Vec<_> = doubtful.map(|(name, _)| name).collect();
    names.dedup();
    match names[..] {
        [] => String::new(),
        _ => format!(
            "warning: the measured peaks of {} are doubtful, and so is \"of bound\": the next profile measures them again; `halfwave devices --ceilings` gives the reason\n",
            names.join(", ")
        ),
    }
}

/// Returns the table of launches, the longest first.
fn launches(profile: &Profile, all: bool) -> String {
    let mut sorted: Vec<_> = profile.launches.iter().collect();
    sorted.sort_by_key(|launch| std::cmp::Reverse(launch.median_ns));
    let total = profile.launches_ns.max(1) as f64;
    let mut sum = 0.0;
    let enough = sorted.iter().take_while(|launch| {
        let more = sum < SHARE * total;
        sum += launch.median_ns.unwrap_or(0) as f64;
        more
    });
    let shown = if all { sorted.len() } else { enough.count().min(ROWS) };
    let mut rows = "time\tshare\tlayer\tkernel\tphase\tGB/s\tGFLOP/s\tGbitop/s\tbound by\tof bound".to_string();
    // All columns together are wider than a terminal.
    rows += if all { "\tp10 to p90\tgroups × threads\n" } else { "\n" };
    for launch in &sorted[..shown] {
        let [x, y] = launch.groups;
        let groups = if y == 1 { x.to_string() } else { format!("{x}×{y}") };
        let share = launch.median_ns.map_or("-".into(), |ns| percent(ns as f64 / total));
        let range = match (launch.p10_ns, launch.p90_ns) {
            (Some(p10), Some(p90)) => format!("{} – {}", time(p10), time(p90)),
            _ => String::new(),
        };
        rows += &format!(
            "{}\t{share}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            launch.median_ns.map_or("too short".into(), time),
            launch.layer,
            launch.kernel,
            word(launch.phase),
            rate(launch, launch.bytes),
            rate(launch, launch.float_ops),
            rate(launch, launch.bit_ops),
            launch.bound.map_or("-", bound),
            launch.fraction_of_bound.map_or("-".into(), percent),
        );
        rows += &if all { format!("\t{range}\t{groups} × {}\n", launch.threads) } else { "\n".to_string() };
    }
    let mut text = terminal::table(if all { "rrlllrrrlrll" } else { "rrlllrrrlr" }, &rows);
    let hidden = &sorted[shown..];
    if !hidden.is_empty() {
        let rest: u64 = hidden.iter().filter_map(|launch| launch.median_ns).sum();
        let (count, share) = (hidden.len(), percent(rest as f64 / total));
        text += &format!("{}, {share}, in {count} more launches; --all shows them\n", time(rest));
    }
    text
}

/// Formats a rate in billions per second, or a dash.
fn rate(launch: &Launch, amount: u64) -> String {
    match launch.rate(amount).map(|rate| rate / 1e9) {
        Some(giga) if amount > 0 => {
            let decimals = if giga >= 100.0 { 0 } else { 2 };
            format!("{giga:.decimals$}")
        }
        _ => "-".into(),
    }
}

/// Returns the table of times by phase, and by layer and phase.
fn groups(profile: &Profile) -> String {
    let mut layers: Vec<&str> = Vec::new();
    let mut times: BTreeMap<(&str, Activity), u64> = BTreeMap::new();
    let mut phases: BTreeMap<Activity, u64> = BTreeMap::new();
    for launch in &profile.launches {
        let layer = if launch.layer.is_empty() { "-" } else { launch.layer.as_str() };
        if !layers.contains(&layer) {
            layers.push(layer);
        }
        let ns = launch.median_ns.unwrap_or(0);
        *times.entry((layer, launch.phase)).or_default() += ns;
        *phases.entry(launch.phase).or_default() += ns;
    }
    let total = profile.launches_ns.max(1) as f64;
    let cell = |&ns: &u64| if ns == 0 { "-".to_string() } else { time(ns) };
    let share = |&ns: &u64| percent(ns as f64 / total);
    let row = |name: &str, cells: Vec<String>, end: &str| format!("{name}\t{}\t{end}\n", cells.join("\t"));
    let mut rows = row("layer", phases.keys().map(|&phase| word(phase).to_string()).collect(), "total\tshare");
    for layer in layers {
        let ns: Vec<_> = phases.keys().map(|&phase| times.get(&(layer, phase)).copied().unwrap_or(0)).collect();
        let sum = ns.iter().sum();
        rows += &row(layer, ns.iter().map(cell).collect(), &format!("{}\t{}", cell(&sum), share(&sum)));
    }
    rows += &row("total", phases.values().map(cell).collect(), &time(profile.launches_ns));
    rows += &row("share", phases.values().map(share).collect(), "");
    terminal::table(&format!("l{}", "r".repeat(phases.len() + 2)), &rows)
}

/// Returns the memory use of a step.
fn memory(profile: &Profile) -> String {
    let memory = &profile.memory;
    let (kept, float): (u64, u64) =
        memory.saved.iter().fold((0, 0), |(a, b), saved| (a + saved.bytes, b + saved.f32_bytes));
    let [state, ports, transient] = [memory.state_bytes, memory.port_bytes, memory.transient_bytes].map(bytes);
    let mut rows = format!(
        "memory\t{}\tin {} buffers: state {state}, inputs and outputs {ports}, transient {transient}\n",
        bytes(memory.peak_bytes),
        memory.slots.len()
    );
    rows += &format!("peak if kept in f32\t{}\n", bytes(memory.peak_f32_bytes));
    if let Some(allocated) = memory.allocator_bytes.map(bytes) {
        rows += &format!("the allocator reports\t{allocated}\twith staging buffers and other plans of this device\n");
    }
    if kept > 0 {
        let (ratio, [kept, float]) = (float as f64 / kept as f64, [kept, float].map(bytes));
        rows += &format!("kept for the backward pass\t{kept}\tin f32 it would be {float}, {ratio:.1} times as much\n");
    }
    let alive = memory.alive(memory.peak_step);
    let named = alive.iter().take(4).map(|tenant| {
        let layer = if tenant.layer.is_empty() { String::new() } else { format!("{} ", tenant.layer) };
        format!("{layer}{} {}", tenant.stem, bytes(tenant.bytes))
    });
    let named: Vec<_> = named.collect();
    let (step, alive_bytes, more) = (memory.peak_step, bytes(memory.alive_bytes), alive.len().saturating_sub(4));
    rows += &format!("alive at the peak\t{alive_bytes}\tin step {step}: {} and {more} more\n", named.join(", "));
    terminal::table("lrl", &rows)
}
