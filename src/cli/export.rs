//! `halfwave export`: writes a trained network for other programs.

use super::DataArgs;
use super::load;
use super::terminal::{self, bytes, grouped, print};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use halfwave::export::{Format, Network, of_checkpoint, used_weights};
use halfwave::model::trained_len;
use halfwave::schema::Word;
use halfwave::train::checkpoint::to_bytes;
use halfwave::train::run::Saved;
use halfwave::{Error, Result, files};
use halfwave_infer::{Layer, Op};
use std::path::{Path, PathBuf};

/// Export a trained network for other programs.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// Checkpoint file, or a run's folder
    #[arg(value_name = "CHECKPOINT|RUN")]
    checkpoint: PathBuf,
    /// Format
    #[arg(long, default_value = "packed", value_parser = PossibleValuesParser::new(Format::WORDS).map(|name| named(&name)))]
    format: Format,
    /// File to write [default: the run's name with the format's extension, in the current folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

const EXAMPLES: &str = "\
Formats:
  packed       bits and integers in one file, for halfwave eval and predict and for halfwave-infer
  safetensors  the weights that the network uses, as floats under PyTorch's names

Examples:
  halfwave export runs/digits-1
  halfwave export runs/digits-1/best.safetensors --format packed --out digits.packed.safetensors";

fn named(name: &str) -> Format {
    let at = Format::WORDS.iter().position(|word| *word == name);
    Format::VALUES[at.expect("one of the possible values")]
}

pub(super) fn export(args: &ExportArgs) -> Result<()> {
    let format = args.format;
    let saved = Saved::read(&args.checkpoint)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.{}", name_of(&args.checkpoint), format.extension())));
    files::check_new(&out)?;
    let names = load::class_names(&saved, &args.data)?;
    let network = of_checkpoint(&saved, &names).map_err(load::in_file(&saved.path))?;
    let bytes = match format {
        Format::Packed => network.to_bytes().map_err(|error| Error::Model(error.to_string()))?,
        Format::Safetensors => to_bytes(&used_weights(&saved.recipe.model, &saved.checkpoint.tensors)?, None),
    };
    files::replace(&out, &bytes)?;
    print(&report(&saved, &network, &out, bytes.len() as u64)?)
}

/// The name of a run's folder, or of a checkpoint without its extensions.
fn name_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().map_or("network".into(), |name| name.to_string_lossy().into_owned());
    name.split('.').next().filter(|name| !name.is_empty()).unwrap_or("network").to_string()
}

/// Lists the layers with their bits, and the size of the file beside that of floats.
fn report(saved: &Saved, network: &Network, out: &Path, len: u64) -> Result<String> {
    let wrong = |error: halfwave_infer::Error| Error::Model(error.to_string());
    let (stored, types) = (network.stored().map_err(wrong)?, network.types().map_err(wrong)?);
    let mut text = "layer\tarray\tnumbers\tbits\tbytes\n".to_string();
    for array in stored {
        let (layer, what) = array.name.rsplit_once('.').unwrap_or((&array.name, ""));
        let count: usize = array.shape.iter().product();
        let (count, bits) = match network.layers.iter().find(|known| known.name == layer) {
            // A number per weight; its signs are padded to whole words.
            Some(Layer { op: Op::PackedConv { window, filters, bases, planes, .. }, from, .. }) if what == "signs" => {
                (window.taps() * types[from[0]].channels() * filters, bases * planes)
            }
            _ => (count, 8 * array.bytes / count.max(1)),
        };
        text += &format!("{layer}\t{what}\t{}\t{bits}\t{}\n", grouped(count as u64), grouped(array.bytes as u64));
    }
    let floats = 4 * trained_len(&saved.recipe.model.parameters()?);
    Ok(format!(
        "{}\n{}: {}; the network's parameters in f32 are {} ({:.1} times as large)\n",
        terminal::table("llrrr", &text),
        out.display(),
        bytes(len),
        bytes(floats),
        floats as f64 / len as f64,
    ))
}
