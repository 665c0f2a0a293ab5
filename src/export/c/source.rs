//! The text of the header and of the source file.

use super::constants::{Constants, string, threshold_type};
use super::groups::groups;
use super::memory::{Need, place};
use super::step::{Arena, Function, Parameter, Passed, Step, comment, wrapped};
use super::{CFiles, layers, library, names};
use crate::export::card::MAX_PIXEL;
use halfwave_infer::{Network, Op, Type};
use std::fmt::Write as _;

/// Offsets of all parameters of all functions, in the elements of their arenas.
struct Layout {
    /// For each function, one offset for each parameter.
    offsets: Vec<Vec<usize>>,
    input: usize,
    floats: usize,
    words: usize,
}

pub(super) fn write(network: &Network, types: &[Type], name: &str) -> CFiles {
    let ids = names::of_layers(network);
    let thresholds = network.layers.iter().filter_map(|layer| match &layer.op {
        Op::Threshold { thresholds, .. } => Some(thresholds),
        _ => None,
    });
    let (threshold, threshold_bytes) = threshold_type(thresholds.flatten());
    let mut constants = Constants::default();
    let mut body = normalise(network, &mut constants);
    let mut functions = Vec::new();
    for group in groups(network) {
        let step = Step::new(network, types, &ids, &mut constants, threshold_bytes, &group);
        let function = layers::function(step, &group);
        let arrays = std::mem::take(&mut constants.text);
        let _ = writeln!(body, "{arrays}{}{}", if arrays.is_empty() { "" } else { "\n" }, function.text);
        functions.push(function);
    }
    let layout = layout(types, &functions);
    body += &run(&functions, &layout, name);
    let used = library::used_by(&body);
    let library = used.join("\n\n");
    let mut source = prelude(name, &(library.clone() + &body));
    if library::identifiers(&body).iter().any(|name| name.starts_with("count_reached")) {
        let _ = write!(source, "/* Thresholds of sums. */\ntypedef {threshold} threshold;\n\n");
    }
    let _ = write!(source, "{library}\n\n{body}{}", public(network, name));
    let (flash, ram) = (constants.bytes, 4 * (layout.floats + layout.words));
    CFiles { header: header(network, &layout, name, flash, ram), source, flash, ram }
}

/// The function that converts an image to floats, and its constants.
fn normalise(network: &Network, constants: &mut Constants) -> String {
    let input = &network.input;
    let [h, w, c] = input.shape;
    // One column if all channels are converted alike.
    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let alike = input.table.chunks_exact(c).all(|row| bits(row).iter().all(|&value| value == row[0].to_bits()));
    let table: Vec<f32> = if alike { input.table.iter().step_by(c).copied().collect() } else { input.table.clone() };
    constants.floats("input_values", &table);
    if !input.mean.is_empty() {
        constants.floats("input_mean", &input.mean);
    }
    let mean = if input.mean.is_empty() { "" } else { " - *mean++" };
    let pointer = if input.mean.is_empty() { "" } else { "    const float *mean = input_mean;\n" };
    let mut text = std::mem::take(&mut constants.text);
    text += "\n";
    if alike {
        text += &comment(&format!("The image: bytes {h}x{w}x{c} to floats."));
        let _ = write!(
            text,
            "static void input_run(const uint8_t *image, float *out)\n{{\n{pointer}    int i;\n    for (i = 0; i < {}; \
             i++)\n        *out++ = input_values[*image++]{mean};\n}}\n\n",
            h * w * c
        );
    } else {
        text += &comment(&format!("The image: bytes {h}x{w}x{c} to floats, by channel."));
        let _ = write!(
            text,
            "static void input_run(const uint8_t *image, float *out)\n{{\n    enum {{ CHANNELS = {c}, PIXELS = {} \
             }};\n{pointer}    int pixel, c;\n    for (pixel = 0; pixel < PIXELS; pixel++)\n        for (c = 0; c < \
             CHANNELS; c++)\n            *out++ = input_values[*image++ * CHANNELS + c]{mean};\n}}\n\n",
            h * w
        );
    }
    text
}

/// Plans the memory.
fn layout(types: &[Type], functions: &[Function]) -> Layout {
    // The input is converted at step 0, and function i runs at step i + 1.
    let mut born = vec![0; types.len()];
    let mut dies = vec![0; types.len()];
    let steps = functions.len() + 1;
    for (at, function) in functions.iter().enumerate() {
        born[function.value] = at + 1;
        for parameter in &function.parameters {
            if let Passed::Tensor(value) = parameter.passed {
                dies[value] = dies[value].max(at + 1);
            }
        }
    }
    // The logits are read after the last function.
    dies[types.len() - 1] = steps;
    let stored: Vec<usize> = std::iter::once(0).chain(functions.iter().map(|function| function.value)).collect();
    let mut needs = [Vec::new(), Vec::new()];
    let arena = |arena| usize::from(arena == Arena::Words);
    // For each tensor, its index among its arena's needs.
    let mut index = vec![0; types.len()];
    for &value in &stored {
        let needs = &mut needs[arena(Arena::of(types[value].kind))];
        index[value] = needs.len();
        needs.push(Need { len: types[value].bytes() / 4, from: born[value], to: dies[value] });
    }
    let mut places = Vec::new();
    for (at, function) in functions.iter().enumerate() {
        let of = |parameter: &Parameter| match parameter.passed {
            Passed::Tensor(value) => (arena(Arena::of(types[value].kind)), index[value]),
            Passed::Scratch(of, len) => {
                let needs = &mut needs[arena(of)];
                needs.push(Need { len, from: at + 1, to: at + 1 });
                (arena(of), needs.len() - 1)
            }
        };
        places.push(function.parameters.iter().map(of).collect::<Vec<_>>());
    }
    let planned = needs.map(|needs| place(&needs));
    let offset = |&(arena, at): &(usize, usize)| planned[arena].0[at];
    Layout {
        offsets: places.iter().map(|places| places.iter().map(offset).collect()).collect(),
        input: planned[0].0[0],
        floats: planned[0].1,
        words: planned[1].1,
    }
}

/// The function that calls all others.
fn run(functions: &[Function], layout: &Layout, name: &str) -> String {
    let mut text = comment("All layers; returns the logits.");
    let _ = writeln!(text, "static const float *run(struct {name}_memory *memory, const uint8_t *image)\n{{");
    text += "    float *f = memory->floats;\n";
    if layout.words > 0 {
        text += "    uint32_t *w = memory->words;\n";
    }
    let at = |pointer: &str, offset: usize| match offset {
        0 => pointer.to_string(),
        _ => format!("{pointer} + {offset}"),
    };
    let pointer = |parameter: &Parameter, offset: usize| match parameter.ty {
        ty if ty.contains("float") => at("f", offset),
        ty if ty.contains("uint32_t") => at("w", offset),
        ty => format!("({ty})({})", at("w", offset)),
    };
    let _ = writeln!(text, "    input_run(image, {});", at("f", layout.input));
    let mut last = 0;
    for (function, offsets) in functions.iter().zip(&layout.offsets) {
        let arguments: Vec<_> =
            function.parameters.iter().zip(offsets).map(|(parameter, &offset)| pointer(parameter, offset)).collect();
        text += &wrapped(&format!("    {}(", function.name), &arguments, ");\n");
        last = offsets[offsets.len() - 1];
    }
    let _ = write!(text, "    return {};\n}}\n\n", at("f", last));
    text
}

/// What precedes the library: includes and checks of the compiler.
fn prelude(name: &str, code: &str) -> String {
    let used = library::identifiers(code);
    let curves = used.contains("expf") || used.contains("logf");
    let mut text = format!("/* Generated by halfwave export: see {name}.h. */\n#include \"{name}.h\"\n\n");
    text += "#include <float.h>\n#include <limits.h>\n";
    if curves || used.contains("INFINITY") {
        text += "#include <math.h>\n";
    }
    text += include_str!("checks.c");
    text
}

/// The functions of the header.
fn public(network: &Network, name: &str) -> String {
    let macros = name.to_uppercase();
    let mut text = format!("const char *const {name}_class_names[{macros}_CLASSES] = {{\n");
    for class in &network.classes {
        let _ = writeln!(text, "    {},", string(class));
    }
    text += "};\n\n";
    text + &include_str!("public.c").replace("NAME", &macros).replace("name_", &format!("{name}_"))
}

fn header(network: &Network, layout: &Layout, name: &str, flash: usize, ram: usize) -> String {
    let [h, w, c] = network.input.shape;
    let curve = network.layers.iter().any(|layer| calls_libm(&layer.op));
    let words = match layout.words {
        0 => String::new(),
        words => format!("    uint32_t words[{words}];\n"),
    };
    let accuracy = match curve {
        true => {
            "The network computes expf or logf (link with -lm where they are in a library of their own), so the last \
             bits of logits can differ from halfwave's, and a class where two logits are nearly equal."
        }
        false => "Logits have the bits of halfwave's.",
    };
    let values = [
        ("@height@", h.to_string()),
        ("@width@", w.to_string()),
        ("@channels@", c.to_string()),
        ("@largest@", network.card.get(MAX_PIXEL).and_then(|max| max.parse::<u8>().ok()).unwrap_or(255).to_string()),
        ("@classes@", network.classes.len().to_string()),
        ("@flash@", flash.to_string()),
        ("@ram@", ram.to_string()),
        ("@floats@", layout.floats.to_string()),
        ("@words@", words),
        ("@accuracy@", comment(accuracy).replace("/* ", " * ").replace(" */", "")),
    ];
    let text = include_str!("header.h").replace("NAME", &name.to_uppercase()).replace("name_", &format!("{name}_"));
    values.iter().fold(text, |text, (key, value)| text.replace(key, value))
}

/// Whether an operation calls functions of the C library.
fn calls_libm(op: &Op) -> bool {
    use halfwave_infer::Curve::{LogTailedRelu, Sigmoid, Silu, Tanh};
    matches!(op, Op::Activation { curve: LogTailedRelu | Sigmoid | Silu | Tanh, .. })
}
