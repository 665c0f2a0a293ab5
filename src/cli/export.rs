//! `halfwave export`: writes a trained network for other programs.

use super::DataArgs;
use super::load;
use super::terminal::{self, bytes, grouped, print};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use halfwave::export::onnx::{self, OnnxOptions, Weights};
use halfwave::export::{CFiles, Format, Network, c, c_name, of_checkpoint, used_weights};
use halfwave::model::trained_len;
use halfwave::schema::Word;
use halfwave::train::checkpoint::to_bytes;
use halfwave::train::run::SavedRun;
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
    /// Store packed weights of ONNX files in fewer bits, which few programs read yet: INT4 needs opset
    /// 21, INT2 opset 25
    #[arg(long, value_name = "TYPE")]
    low_bit: Option<LowBit>,
    /// File to write [default: the run's name with the format's extension, in the current folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

const EXAMPLES: &str = "\
Formats:
  packed       bits and integers in one file, for halfwave eval, predict, halfwave-infer, JavaScript
  onnx         standard operators, for onnxruntime and others
  qonnx        operators for few bits, for FINN and other tools that read QONNX
  c            a header and a source file in C99, for microcontrollers
  safetensors  the weights that the network uses, as floats under PyTorch's names

Examples:
  halfwave export runs/digits-1
  halfwave export runs/digits-1 --format onnx --low-bit int4 --out digits.onnx
  halfwave export runs/digits-1 --format c";

/// How `--low-bit` stores packed weights.
#[derive(Clone, Copy, clap::ValueEnum)]
enum LowBit {
    Int4,
    Int2,
}

fn named(name: &str) -> Format {
    let at = Format::WORDS.iter().position(|word| *word == name);
    Format::VALUES[at.expect("one of the possible values")]
}

pub(super) fn export(args: &ExportArgs) -> Result<()> {
    let format = args.format;
    if args.low_bit.is_some() && format != Format::Onnx {
        return Err(Error::Usage("--low-bit applies to --format onnx only".into()));
    }
    if let Some(out) = &args.out {
        check_extension(out, format)?;
    }
    let saved = SavedRun::read(&args.checkpoint)?;
    let name = load::name_of(&args.checkpoint);
    let out = args.out.clone().unwrap_or_else(|| {
        // A name that is not valid in C is changed for its identifiers and for its files alike.
        let name = if format == Format::C { c_name(&name) } else { name };
        PathBuf::from(format!("{name}.{}", format.extension()))
    });
    files::check_new(&out)?;
    let names = load::class_names(&saved, &args.data)?;
    let network = of_checkpoint(&saved, &names).map_err(load::in_file(&saved.path))?;
    let mut note = String::new();
    let bytes = match format {
        Format::Packed => network.to_bytes().map_err(|error| Error::Model(error.to_string()))?,
        Format::Onnx => {
            let weights = match args.low_bit {
                None => Weights::Int8,
                Some(LowBit::Int4) => Weights::Int4,
                Some(LowBit::Int2) => Weights::Int2,
            };
            onnx::onnx(&network, &OnnxOptions { weights })?
        }
        Format::Qonnx => onnx::qonnx(&network)?,
        Format::C => {
            if out.extension().is_none_or(|extension| extension != "c") {
                let message = "C files are named NAME.c, with a header NAME.h beside them; end the name in .c";
                return Err(Error::Usage(format!("{}: {message}", out.display())));
            }
            let header = out.with_extension("h");
            files::check_new(&header)?;
            let stem = out.file_stem().map_or(load::name_of(&out), |stem| stem.to_string_lossy().into_owned());
            let CFiles { header: text, source, flash, ram } = c(&network, &stem).map_err(|error| {
                Error::Usage(format!(
                    "{}: {error}; name the file with --out, such as {}.c",
                    out.display(),
                    c_name(&stem)
                ))
            })?;
            files::replace(&header, text.as_bytes())?;
            note = format!(
                "{} declares its functions; compiled, constants take {} and memory for tensors {}\n",
                header.display(),
                bytes(flash as u64),
                bytes(ram as u64)
            );
            source.into_bytes()
        }
        Format::Safetensors => to_bytes(&used_weights(&saved.recipe.model, &saved.checkpoint.tensors)?, None),
    };
    files::replace(&out, &bytes)?;
    print(&(report(&saved, &network, &out, bytes.len() as u64)? + &note))
}

/// Refuses the extension of another format.
fn check_extension(out: &Path, format: Format) -> Result<()> {
    let last = |format: Format| format.extension().rsplit('.').next();
    let given = out.extension().and_then(|extension| extension.to_str());
    let mut formats = Format::WORDS.iter().zip(Format::VALUES.iter().copied());
    let other = formats.find(|(_, other)| given.is_some() && last(*other) == given);
    match other {
        Some((other, of)) if last(of) != last(format) => Err(Error::Usage(format!(
            "{}: files of this format are named NAME.{}; for this name, add --format {other}",
            out.display(),
            format.extension()
        ))),
        _ => Ok(()),
    }
}

/// Lists the layers with their bits, and the size of the file beside that of floats.
fn report(saved: &SavedRun, network: &Network, out: &Path, len: u64) -> Result<String> {
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
        "{}\n{}: {}; the network's parameters in f32 take {}, {:.1} times as much\n",
        terminal::table("llrrr", &text),
        out.display(),
        bytes(len),
        bytes(floats),
        floats as f64 / len as f64,
    ))
}
