//! The calls that compute the layers of a group.

use super::constants::float;
use super::groups::Group;
use super::step::{Function, Step};
use halfwave_infer::{Coding, Curve, Kind, Op, Type, Window};

/// Terms of a sum of floats that are added one after the other, as in `halfwave-infer`.
pub(super) const CHUNK: usize = 128;

/// Writes the function of a group.
pub(super) fn function(mut step: Step<'_>, group: &Group) -> Function {
    let mut about = Vec::new();
    let mut at = String::new();
    for (position, &layer) in group.iter().enumerate() {
        let is_output = position + 1 == group.len();
        let before = group.get(position.wrapping_sub(1)).map(|before| (before + 1, at.as_str()));
        at = compute(&mut step, layer, before, is_output);
        about.push(format!("{}: {}", step.ids[layer], describe(&step.network.layers[layer].op)));
    }
    let (last, first) = (group[group.len() - 1], &step.network.layers[group[0]]);
    let inputs: Vec<_> = first.from.iter().map(|&from| name_of(&step.types[from])).collect();
    let about = format!("{}. From {} to {}.", about.join("; "), inputs.join(" and "), name_of(&step.types[last + 1]));
    let name = step.ids[group[0]].clone();
    step.finish(&name, last + 1, &about)
}

/// Computes a layer of a pixel; `before` are the value and the place that the layer before has
/// computed. Returns the place of the result.
fn compute(step: &mut Step<'_>, layer: usize, before: Option<(usize, &str)>, is_output: bool) -> String {
    let network = step.network;
    let (from, op) = (&network.layers[layer].from, &network.layers[layer].op);
    let (input, output) = (step.types[from[0]], step.types[layer + 1]);
    let (c, id) = (input.channels(), step.ids[layer].clone());
    match op {
        Op::MaxPool { .. } | Op::AvgPool { .. } if before.is_some() => {
            pool(step, op, &output, before.map_or("", |(_, place)| place), is_output)
        }
        Op::Conv { .. }
        | Op::PackedConv { .. }
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::InputScale { .. }
        | Op::Pad { .. } => {
            let x = step.whole(from[0]);
            let out = step.target(output, is_output);
            under_window(step, op, (&input, &output), &id, &x, out);
            out.into()
        }
        Op::Concat | Op::Slice { .. } => {
            let out = step.target(output, is_output);
            channels(step, layer, out);
            out.into()
        }
        Op::Flatten => {
            let x = step.whole(from[0]);
            let out = step.target(output, is_output);
            step.line(format!("flatten({x}, {}, {c}, {out});", input.pixels()));
            out.into()
        }
        _ => {
            // The input that the layer before has computed, or else the first one.
            let main = before.map_or(from[0], |(value, _)| value);
            let x = before.map_or_else(|| step.pixel(main), |(_, place)| place.into());
            let other = match from.get(1) {
                Some(&second) if second == main && from[0] != main => Some(from[0]),
                second => second.copied(),
            };
            let other = other.map(|value| step.pixel(value));
            let out = step.target(output, is_output);
            by_pixel(step, op, &input, &id, &x, other.as_deref(), out);
            out.into()
        }
    }
}

/// A pool of what the layers before it compute, value by value.
fn pool(step: &mut Step<'_>, op: &Op, output: &Type, x: &str, is_output: bool) -> String {
    let (window, out) = step.end_pool(*output, is_output);
    let kernel = window.map_or([1, 1], |window| window.kernel);
    let c = step.number("FILTERS", output.channels());
    let (start, each) = match (op, output.kind) {
        (Op::AvgPool { .. }, _) => (format!("fill_floats({out}, {c}, 0.0f);"), format!("add({out}, {x}, {c}, {out});")),
        (_, Kind::Float) => {
            (format!("fill_floats({out}, {c}, -INFINITY);"), format!("larger_floats({x}, {c}, {out});"))
        }
        (_, Kind::Sums(_)) => (format!("fill_sums({out}, {c}, INT32_MIN);"), format!("larger_sums({x}, {c}, {out});")),
        (_, Kind::Codes(bits)) => {
            let words = output.words();
            let all = usize::from(bits) * words;
            (format!("clear_codes({out}, {all});"), format!("larger_codes({x}, {bits}, {words}, {out});"))
        }
    };
    step.repeat(kernel, start, &each);
    if let Op::AvgPool { .. } = op {
        step.line(format!("divide({out}, {c}, {}, {out});", float((kernel[0] * kernel[1]) as f32)));
    }
    out.into()
}

/// Operations that read other pixels.
fn under_window(step: &mut Step<'_>, op: &Op, (input, output): (&Type, &Type), id: &str, x: &str, out: &str) {
    match op {
        Op::Conv { window, filters, weight } => {
            let (c, taps) = (input.channels(), window.taps());
            let chunks = taps * c.div_ceil(CHUNK);
            let run = chunks.div_ceil(chunks.div_ceil(CHUNK).max(1));
            let by_filter: Vec<f32> =
                (0..*filters).flat_map(|k| (0..taps * c).map(move |row| weight[row * filters + k])).collect();
            step.constants.floats(&format!("{id}_weights"), &by_filter);
            let place = step.window(window, input);
            let [c, k, run] = [("CHANNELS", c), ("FILTERS", *filters), ("RUN", run)].map(|(n, v)| step.number(n, v));
            step.line(format!("conv({x}, {c}, {place}, {id}_weights, {k}, {run}, {out});"));
        }
        Op::PackedConv { .. } => packed(step, op, (input, output), id, x, out),
        Op::MaxPool { window } => {
            let place = step.window(window, input);
            let c = step.number("CHANNELS", input.channels());
            let line = match input.kind {
                Kind::Float => format!("max_floats({x}, {c}, {place}, {out});"),
                Kind::Sums(_) => format!("max_sums({x}, {c}, {place}, {out});"),
                Kind::Codes(bits) => {
                    let bits = step.number("BITS", bits.into());
                    format!("max_codes({x}, {c}, {place}, {bits}, {out});")
                }
            };
            step.line(line);
        }
        Op::AvgPool { window } => {
            let place = step.window(window, input);
            let c = step.number("CHANNELS", input.channels());
            step.line(format!("average({x}, {c}, {place}, {out});"));
        }
        Op::InputScale { window } => {
            let sizes = step.scratch("sizes", Kind::Float, input.pixels());
            step.line_before(format!("magnitudes({x}, {}, {}, {sizes});", input.pixels(), input.channels()));
            let place = step.window(window, input);
            let count = (input.channels() * window.taps()) as f32;
            step.line(format!("mean_magnitude({sizes}, {place}, {}, {out});", float(count)));
        }
        Op::Pad { border } => {
            let one = [1, 1];
            let window = Window { kernel: one, stride: one, padding: *border, dilation: one };
            let place = step.window(&window, input);
            let c = step.number("CHANNELS", input.channels());
            step.line(format!("pad({x}, {c}, {place}, {out});"));
        }
        _ => {}
    }
}

/// A packed convolution: gathers what is under the window, then counts for each filter.
fn packed(step: &mut Step<'_>, op: &Op, (input, output): (&Type, &Type), id: &str, x: &str, out: &str) {
    let Op::PackedConv { window, filters, coding, bases, planes, signs, coefficients, scale } = op else { return };
    let Kind::Codes(bits) = input.kind else { return };
    let (bits, words) = (usize::from(bits), window.taps() * input.words());
    let row = |base: usize, k: usize, plane: usize| &signs[((base * planes + plane) * filters + k) * words..][..words];
    let by_filter = (0..*bases).flat_map(|base| {
        (0..*filters).flat_map(move |k| (0..*planes).flat_map(move |plane| row(base, k, plane).iter().copied()))
    });
    step.constants.words(&format!("{id}_signs"), &by_filter.collect::<Vec<_>>());
    let place = step.window(window, input);
    let (c, b) = (step.number("CHANNELS", input.channels()), step.number("BITS", bits));
    let (n, j, k) = (step.number("WORDS", words), step.number("PLANES", *planes), step.number("FILTERS", *filters));
    let (levels, planes_of_field) = match coding {
        Coding::Uniform => (1, bits),
        Coding::Sign => (1, 2),
        Coding::Levels(levels) => (*levels, *levels),
    };
    let field = step.scratch("field", input.kind, planes_of_field * words);
    let gather = match coding {
        Coding::Uniform => format!("gather({x}, {c}, {place}, {b}, {field});"),
        Coding::Sign => format!("gather_signs({x}, {c}, {place}, {field});"),
        Coding::Levels(_) => {
            let levels = step.number("LEVELS", levels);
            format!("gather_levels({x}, {c}, {place}, {b}, {levels}, {field});")
        }
    };
    step.line(gather);
    let call = |signs: &str, out: &str| match coding {
        Coding::Uniform => format!("sum_codes({field}, {b}, {n}, {signs}, {j}, {k}, {out});"),
        Coding::Sign => format!("sum_signs({field}, {n}, {signs}, {j}, {k}, {out});"),
        Coding::Levels(_) => format!("sum_codes({field} + level * {n}, 1, {n}, {signs}, {j}, {k}, {out});"),
    };
    if !op.combines() {
        return step.line(call(&format!("{id}_signs"), out));
    }
    // Each level and base has a coefficient of its own.
    step.constants.floats(&format!("{id}_coefficients"), coefficients);
    let sums = Type { kind: Kind::Sums(0), ..*output };
    let sums = step.scratch("sums", sums.kind, output.channels());
    let bases = step.number("BASES", *bases);
    step.line(format!("fill_floats({out}, {k}, 0.0f);"));
    let mut indent = String::new();
    let mut term = String::from("base");
    if let Coding::Levels(_) = coding {
        step.counter("level");
        step.line("for (level = 0; level < LEVELS; level++) {".into());
        indent += "    ";
        term = format!("(level * {bases} + base)");
    }
    step.counter("base");
    step.line(format!("{indent}for (base = 0; base < {bases}; base++) {{"));
    step.line(format!("{indent}    {}", call(&format!("{id}_signs + base * ({k} * {j} * {n})"), sums)));
    step.line(format!("{indent}    accumulate({sums}, {id}_coefficients + {term} * {k}, {k}, {out});"));
    step.line(format!("{indent}}}"));
    if !indent.is_empty() {
        step.line("}".into());
    }
    let factor = float(scale.first().copied().unwrap_or(1.0));
    step.line(format!("scale({out}, {k}, {factor}, {out});"));
}

/// Selected or concatenated channels.
fn channels(step: &mut Step<'_>, layer: usize, out: &str) {
    let network = step.network;
    let (from, output) = (&network.layers[layer].from, step.types[layer + 1]);
    let first = if let Op::Slice { first, .. } = network.layers[layer].op { first } else { 0 };
    if let Kind::Codes(bits) = output.kind {
        step.line(format!("clear_codes({out}, {});", usize::from(bits) * output.words()));
    }
    let mut to = 0;
    for &from in from {
        let input = step.types[from];
        let count = (input.channels() - first).min(output.channels());
        let x = step.pixel(from);
        step.line(match output.kind {
            Kind::Float => format!("copy_floats({}, {count}, {});", plus(&x, first), plus(out, to)),
            Kind::Sums(_) => format!("copy_sums({}, {count}, {});", plus(&x, first), plus(out, to)),
            Kind::Codes(bits) => {
                let (words, all) = (input.words(), output.words());
                format!("copy_codes({x}, {words}, {first}, {count}, {bits}, {out}, {all}, {to});")
            }
        });
        to += count;
    }
}

fn plus(pointer: &str, offset: usize) -> String {
    if offset == 0 { pointer.into() } else { format!("{pointer} + {offset}") }
}

/// Operations on one pixel, from `x` (and `other`) to `out`, which may be the same place.
fn by_pixel(step: &mut Step<'_>, op: &Op, input: &Type, id: &str, x: &str, other: Option<&str>, out: &str) {
    let count = input.channels();
    let c = if step.has_number("FILTERS") { step.number("FILTERS", count) } else { step.number("CHANNELS", count) };
    let other = other.unwrap_or(x);
    match op {
        Op::Affine { gain, shift, .. } => {
            let mut x = x;
            if matches!(input.kind, Kind::Sums(_)) {
                step.line(format!("to_floats({x}, {c}, {out});"));
                x = out;
            }
            if !gain.is_empty() {
                step.constants.floats(&format!("{id}_gain"), gain);
                step.line(format!("multiply({x}, {id}_gain, {c}, {out});"));
                x = out;
            }
            if !shift.is_empty() {
                step.constants.floats(&format!("{id}_shift"), shift);
                step.line(format!("add({x}, {id}_shift, {c}, {out});"));
                x = out;
            }
            if x != out {
                step.line(format!("copy_floats({x}, {c}, {out});"));
            }
        }
        Op::Threshold { count: steps, thresholds, falling, .. } => {
            let by_channel: Vec<i32> =
                (0..count).flat_map(|c| (0..*steps).map(move |t| thresholds[t * count + c])).collect();
            step.constants.thresholds(&format!("{id}_thresholds"), &by_channel, step.threshold);
            let (steps, bits) = (step.number("STEPS", *steps), bits_of(*steps));
            let call = match falling.is_empty() {
                true => format!("count_reached({x}, {c}, {id}_thresholds, {steps}, {bits}, {out});"),
                false => {
                    let bit = |c: usize| u32::from(falling.get(c).is_some_and(|&falls| falls != 0));
                    let word = |word: usize| (0..32).map(|i| bit(word * 32 + i) << i).sum();
                    let words: Vec<u32> = (0..input.words()).map(word).collect();
                    step.constants.words(&format!("{id}_falling"), &words);
                    let call = format!("count_reached_mixed({x}, {c}, {id}_thresholds, {steps}, {id}_falling");
                    format!("{call}, {bits}, {out});")
                }
            };
            step.line(call);
        }
        Op::Quantise { count, at_least, thresholds } => {
            step.constants.floats(&format!("{id}_thresholds"), thresholds);
            let function = if *at_least { "count_at_most" } else { "count_below" };
            let (steps, bits) = (step.number("STEPS", *count), bits_of(*count));
            step.line(format!("{function}({x}, {c}, {id}_thresholds, {steps}, {bits}, {out});"));
        }
        Op::Decode { bits, values } => {
            step.constants.floats(&format!("{id}_values"), values);
            step.line(format!("decode({x}, {c}, {id}_values, {bits}, {out});"));
        }
        Op::Round { integer, fraction } => {
            let steps = (1u32 << fraction) as f32;
            let (step_size, half) = (1.0 / steps, (1u32 << (integer - 1)) as f32);
            let numbers = [-half, half - step_size, steps, step_size].map(float).join(", ");
            step.line(format!("fixed_point({x}, {c}, {numbers}, {out});"));
        }
        Op::Relu => step.line(format!("relu({x}, {c}, {out});")),
        Op::Prelu { slope } => {
            step.constants.floats(&format!("{id}_slopes"), slope);
            step.line(format!("prelu({x}, {c}, {id}_slopes, {out});"));
        }
        Op::Activation { curve, number } => {
            let number = float(number[0]);
            step.line(match curve {
                Curve::ClippedRelu => format!("clipped_relu({x}, {c}, {number}, {out});"),
                Curve::LogTailedRelu => format!("log_tailed_relu({x}, {c}, {number}, {out});"),
                Curve::Tanh => format!("hyperbolic_tangent({x}, {c}, {out});"),
                Curve::HardTanh => format!("hard_tanh({x}, {c}, {out});"),
                Curve::Sigmoid => format!("sigmoid({x}, {c}, {out});"),
                Curve::Silu => format!("silu({x}, {c}, {out});"),
                Curve::LeakyRelu => format!("leaky_relu({x}, {c}, {number}, {out});"),
            });
        }
        Op::Add => step.line(format!("add({x}, {other}, {c}, {out});")),
        Op::ScalePixels => step.line(format!("scale({x}, {c}, *{other}, {out});")),
        _ => {}
    }
}

/// Bits of a code that counts this many thresholds.
fn bits_of(thresholds: usize) -> usize {
    (thresholds + 1).next_power_of_two().trailing_zeros() as usize
}

/// A tensor's type in words.
fn name_of(ty: &Type) -> String {
    let [h, w, c] = ty.shape;
    let kind = match ty.kind {
        Kind::Float => "floats".into(),
        Kind::Sums(_) => "sums".into(),
        Kind::Codes(bits) => format!("{bits}-bit codes"),
    };
    format!("{h}x{w}x{c} {kind}")
}

/// An operation in words.
fn describe(op: &Op) -> String {
    let under = |what: &str, window: &Window| format!("{what} {}x{}", window.kernel[0], window.kernel[1]);
    match op {
        Op::Conv { window, .. } => under("convolution of floats", window),
        Op::PackedConv { window, .. } => under("packed convolution", window),
        Op::MaxPool { window } => under("largest of", window),
        Op::AvgPool { window } => under("mean of", window),
        Op::InputScale { window } => under("mean magnitude of", window),
        Op::Affine { scaled: false, .. } => "shift".into(),
        Op::Affine { shifted: false, .. } => "gain".into(),
        Op::Affine { .. } => "gain and shift".into(),
        Op::Threshold { .. } => "integer thresholds".into(),
        Op::Quantise { .. } => "thresholds".into(),
        Op::Decode { .. } => "codes to floats".into(),
        Op::Round { integer, fraction } => format!("fixed point, {integer} and {fraction} bits"),
        Op::Relu => "ReLU".into(),
        Op::Prelu { .. } => "PReLU".into(),
        Op::Activation { curve, .. } => {
            let named = Curve::ALL.iter().find(|(_, known)| known == curve);
            named.map_or(String::new(), |(name, _)| name.replace('_', " "))
        }
        Op::Add => "addition".into(),
        Op::Concat => "concatenation of channels".into(),
        Op::Slice { first, .. } => format!("channels from {first} on"),
        Op::Flatten => "flattening".into(),
        Op::Pad { .. } => "border of ones".into(),
        Op::ScalePixels => "a factor for each pixel".into(),
    }
}
