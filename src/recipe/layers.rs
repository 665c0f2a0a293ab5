//! `[[model.layers]]`: which keys each kind of layer has, and what they mean.
use super::table::{Source, Table};
use crate::Result;
use crate::model::*;
use std::ops::{Range, RangeInclusive};
use toml::de::DeTable;

/// Keys of every layer.
const COMMON: [&str; 3] = ["name", "kind", "from"];

/// Every kind with its own keys.
const KINDS: [(&str, &[&str]); 9] = [
    ("conv", &["filters", "kernel", "stride", "padding", "bias", "weights"]),
    ("batch_norm", &["affine", "momentum", "eps"]),
    ("hwgq", &["bits", "levels", "surrogate"]),
    ("relu", &[]),
    ("max_pool", &["kernel", "stride", "padding"]),
    ("avg_pool", &["kernel", "stride", "padding"]),
    ("global_avg_pool", &[]),
    ("linear", &["units", "bias", "weights"]),
    ("add", &[]),
];

const WEIGHTS: [(&str, Weights); 2] = [("float", Weights::Float), ("binary", Weights::Binary)];

const SURROGATES: [(&str, Surrogate); 4] = [
    ("identity", Surrogate::Identity),
    ("vanilla", Surrogate::Vanilla),
    ("clipped", Surrogate::Clipped),
    ("log_tailed", Surrogate::LogTailed),
];

/// Counts and window sides; far above anything sensible, far below overflow.
const SOME: RangeInclusive<u64> = 1..=1_048_576;

/// One layer, and the line its `from` stands on. `previous` is the name of the layer before it, `index` its place.
pub(super) fn layer(
    source: Source<'_>,
    (span, entries): (Range<usize>, &DeTable<'_>),
    index: usize,
    previous: &str,
) -> Result<(Layer, usize)> {
    let text = |wanted: &str| entries.iter().find(|(key, _)| key.get_ref() == wanted)?.1.get_ref().as_str();
    let mut what = text("name").map_or_else(|| format!("layer {}", index + 1), |name| format!("layer \"{name}\""));
    let mut known = COMMON.to_vec();
    match KINDS.iter().find(|(kind, _)| text("kind") == Some(*kind)) {
        Some((kind, own)) => {
            what += &format!(" ({kind})");
            known.extend(*own);
        }
        // The kind itself is wrong; that will be said unless a key is wrong in every kind of layer.
        None => {
            known.extend(KINDS.iter().flat_map(|(_, own)| *own));
            known.sort_unstable();
            known.dedup();
        }
    }
    let table = Table::new(source, what, span, entries, known)?;

    let name = table.required("name", table.string("name")?, "\"a unique name\"")?.to_owned();
    let kind = table.word("kind", &KINDS.map(|(kind, _)| (kind, kind)))?;
    let kind = table.required("kind", kind, &format!("one of {}", KINDS.map(|(kind, _)| kind).join(", ")))?;
    let from = table.strings("from")?.unwrap_or_else(|| vec![previous]).into_iter().map(String::from).collect();
    let layer = Layer { name, from, line: table.line, kind: read_kind(&table, kind)? };
    Ok((layer, table.line_of("from")))
}

fn read_kind(table: &Table<'_>, kind: &str) -> Result<LayerKind> {
    Ok(match kind {
        "conv" => {
            let defaults = Conv::default();
            LayerKind::Conv(Conv {
                filters: table.required("filters", table.integer("filters", SOME)?, "64")? as usize,
                kernel: table.required("kernel", table.pair("kernel", SOME)?, "3")?,
                stride: table.pair("stride", SOME)?.unwrap_or(defaults.stride),
                padding: table.pair("padding", 0..=*SOME.end())?.unwrap_or(defaults.padding),
                bias: table.flag("bias")?.unwrap_or(defaults.bias),
                weights: table.word("weights", &WEIGHTS)?.unwrap_or_default(),
            })
        }
        "batch_norm" => {
            let defaults = BatchNorm::default();
            let share = |v: f32| (0.0..=1.0).contains(&v);
            LayerKind::BatchNorm(BatchNorm {
                affine: table.flag("affine")?.unwrap_or(defaults.affine),
                momentum: table.number("momentum", share, "give a number from 0 to 1")?.unwrap_or(defaults.momentum),
                eps: table
                    .number("eps", |v| v > 0.0, "give a small number above 0, such as 1e-5")?
                    .unwrap_or(defaults.eps),
            })
        }
        "hwgq" => {
            let defaults = Hwgq::default();
            table.word("levels", &[("uniform", ())])?;
            LayerKind::Hwgq(Hwgq {
                bits: table.integer("bits", 1..=4)?.map_or(defaults.bits, |bits| bits as u32),
                surrogate: table.word("surrogate", &SURROGATES)?.unwrap_or(defaults.surrogate),
            })
        }
        "relu" => LayerKind::Relu,
        "max_pool" => LayerKind::MaxPool(pool(table)?),
        "avg_pool" => LayerKind::AvgPool(pool(table)?),
        "global_avg_pool" => LayerKind::GlobalAvgPool,
        "linear" => {
            let weights = table.word("weights", &WEIGHTS)?.unwrap_or_default();
            LayerKind::Linear(Linear {
                units: table.required("units", table.integer("units", SOME)?, "10")? as usize,
                bias: table.flag("bias")?.unwrap_or(weights == Weights::Float),
                weights,
            })
        }
        "add" => LayerKind::Add,
        _ => unreachable!("every kind of the list is read"),
    })
}

fn pool(table: &Table<'_>) -> Result<Pool> {
    let kernel = table.required("kernel", table.pair("kernel", SOME)?, "2")?;
    Ok(Pool {
        kernel,
        stride: table.pair("stride", SOME)?.unwrap_or(kernel),
        padding: table.pair("padding", 0..=*SOME.end())?.unwrap_or([0, 0]),
    })
}
