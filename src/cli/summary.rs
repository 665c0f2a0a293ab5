//! `halfwave summary`: sizes of a network, layer by layer.

use super::load;
use super::output::JsonArgs;
use super::plan;
use super::set::SetArgs;
use super::terminal::{bytes, grouped, table};
use halfwave::Result;
use halfwave::model::{LayerSummary, ModelSummary};
use serde::Serialize;

/// Show the layers of a network: shapes, bits, parameters, packed size, multiply-adds.
#[derive(clap::Args)]
#[command(
    after_help = "Parameters are trained values. Packed, weights take their bits and everything else 32 bits; an exported file (halfwave export) also has a header, and instead of batch-norms the thresholds of quantisers. Multiply-adds are counted per image. Those of packed weights over codes are computed on bits: with m-bit weights and k-bit codes, each takes m·k operations on pairs of bits.\n\nExamples:\n  halfwave summary vgg-small\n  halfwave summary my.toml --json"
)]
pub(super) struct SummaryArgs {
    /// A recipe file, or the name of a built-in recipe [default: digits]
    recipe: Option<String>,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    recipe: &'a str,
    #[serde(flatten)]
    summary: &'a ModelSummary,
}

pub(super) fn summary(args: &SummaryArgs) -> Result<()> {
    args.json.begin();
    let (recipe, name) = load::recipe(args.recipe.as_deref(), &args.set)?;
    let summary = recipe.model.summary()?;
    args.json
        .print(&Output { recipe: &name, summary: &summary }, || text(&name, &summary) + &plan::unpacked(&recipe.model))
}

fn text(name: &str, summary: &ModelSummary) -> String {
    let mut cells = "layer\tkind\toutput\toutput bits\tweight bits\tparameters\tpacked\tmultiply-adds\n".to_string();
    let number = |number: u64, format: fn(u64) -> String| match number {
        0 => "-".to_string(),
        number => format(number),
    };
    for layer in &summary.layers {
        let LayerSummary { name, kind, output: [c, h, w], output_bits, weight_bits, .. } = layer;
        let [parameters, multiply_adds] = [layer.parameters, layer.multiply_adds].map(|count| number(count, grouped));
        let (bits, packed) = (weight_bits.unwrap_or(0) as u64, number(layer.packed_bytes, bytes));
        let bits = number(bits, grouped);
        cells += &format!(
            "{name}\t{kind}\t{c} × {h} × {w}\t{output_bits}\t{bits}\t{parameters}\t{packed}\t{multiply_adds}\n"
        );
    }
    let [c, h, w] = summary.input;
    format!("{name}: images of {c} × {h} × {w}\n\n{}\n{}", table("lllrrrrr", &cells), totals(summary))
}

fn totals(summary: &ModelSummary) -> String {
    let share = |part: u64, all: u64| format!("{:.1}%", 100.0 * part as f64 / all.max(1) as f64);
    let ModelSummary { parameters, low_bit_parameters, float_bytes, packed_bytes, .. } = *summary;
    let ModelSummary { multiply_adds, bit_multiply_adds, bit_operations, .. } = *summary;
    let mut cells = format!(
        "parameters\t{}\t{} of them in fewer than 32 bits\n",
        grouped(parameters),
        share(low_bit_parameters, parameters)
    );
    cells += &format!(
        "size packed\t{}\t1/{:.1} of {} in f32\n",
        bytes(packed_bytes),
        float_bytes as f64 / packed_bytes.max(1) as f64,
        bytes(float_bytes)
    );
    let on_bits = share(bit_multiply_adds, multiply_adds);
    let pairs = match bit_operations {
        0 => String::new(),
        pairs => format!(", as {} operations on pairs of bits", grouped(pairs)),
    };
    cells += &format!("multiply-adds\t{}\t{on_bits} of them on bits{pairs}\n", grouped(multiply_adds));
    table("lrl", &cells)
}
