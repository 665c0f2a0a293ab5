//! `merge`: launches that go through quads ([`Launch::each_quad`]) as one launch, with one body made of theirs.
//!
//! Launches for the same quads make a part and follow each other within an invocation; parts lie one behind the other among the invocations. Names of functions and
//! uniform fields get the launch's number behind them. What only the launches of a part read stays in a register.

use super::{Binding, FAULT, Launch, expand};
use crate::tensor::Encoding;
use std::fmt::Write as _;

/// Storage buffers that every WebGPU device binds at once.
pub const MOST_BUFFERS: usize = 8;

/// Names of the buffers of a merged kernel.
const BUFFERS: [&str; MOST_BUFFERS] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"];

/// Where an operand lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Held {
    /// In the buffer of this number.
    Buffer(usize),
    /// In a register, which carries this number.
    Register(usize),
    /// It is the fault word.
    Fault,
}

/// A launch to merge.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    /// The launch.
    pub launch: &'a Launch,
    /// Where each of its operands lies.
    pub held: Vec<Held>,
    /// The rank of its node in the fault word.
    pub rank: u32,
}

/// What the launches bind, each once, the fault word last.
pub fn bindings<'a>(pieces: impl Iterator<Item = &'a Piece<'a>>) -> Vec<Held> {
    let mut all = Vec::new();
    for held in pieces.flat_map(|piece| &piece.held) {
        if !matches!(held, Held::Register(_)) && !all.contains(held) {
            all.push(*held);
        }
    }
    all.sort_by_key(|held| *held == Held::Fault);
    all
}

/// Merges parts, each of launches for the same quads, into one launch; what its bindings are, in order.
///
/// # Panics
/// When a launch does not go through quads of floats, or there are more than [`MOST_BUFFERS`]: a mistake of the caller's.
pub fn merge(parts: &[Vec<Piece<'_>>]) -> (Launch, Vec<Held>) {
    let pieces = || parts.iter().flatten();
    let held = bindings(pieces());
    assert!(held.len() <= MOST_BUFFERS, "{} buffers in one launch", held.len());
    let written = |wanted: Held| {
        let operands = pieces().flat_map(|piece| piece.launch.kernel.bindings.iter().zip(&piece.held));
        operands.into_iter().any(|(binding, held)| *held == wanted && binding.write)
    };
    let bound = held.iter().zip(BUFFERS).map(|(&held, name)| match held {
        Held::Fault => binding(FAULT, Encoding::U32, true),
        _ => binding(name, Encoding::F32, written(held)),
    });
    let mut launch = Launch::new(label(parts), &[]);
    launch.kernel.bindings = bound.collect();
    let mut text = Text { body: String::new(), fields: Vec::new(), params: Vec::new() };
    let mut main = String::from("@main {\n    let item = group_index(group, groups) * THREADS + thread;\n");
    let (mut number, mut quads) = (0, 0);
    for (index, part) in parts.iter().enumerate() {
        let first = if index == 0 { "item".to_string() } else { format!("item - p.part_end_{}", index - 1) };
        let mut calls = String::new();
        for piece in part {
            text.piece(piece, number, &held);
            let _ = write!(calls, " at_{number}(i);");
            number += 1;
        }
        quads += part[0].launch.each_quad.expect("a launch for each quad");
        text.field(format!("part_end_{index}"), "u32", quads as u32);
        let _ = writeln!(
            main,
            "    {}if (item < p.part_end_{index}) {{\n        let i = {first};\n       {calls}\n    }}",
            if index == 0 { "" } else { "else " }
        );
    }
    main += "}\n";
    text.body += &main;
    launch.kernel.fields = text.fields.into_iter().map(|(name, ty)| (name.into(), ty)).collect();
    launch.kernel.body = vec![text.body.into()];
    launch.params = text.params;
    (launch.float_ops(pieces().map(|piece| piece.launch.float_ops).sum()).threads(quads), held)
}

fn binding(name: &'static str, encoding: Encoding, write: bool) -> Binding {
    Binding { name, encoding, write, finite: false, map: None }
}

/// The labels of a part's launches; those of further parts where they differ.
fn label(parts: &[Vec<Piece<'_>>]) -> String {
    let mut labels: Vec<_> = parts
        .iter()
        .map(|part| part.iter().map(|piece| piece.launch.kernel.label.as_str()).collect::<Vec<_>>().join("+"))
        .collect();
    labels.dedup();
    labels.join(",")
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The text under construction, and the uniform that it reads.
struct Text {
    body: String,
    fields: Vec<(String, &'static str)>,
    params: Vec<u32>,
}

impl Text {
    fn field(&mut self, name: String, ty: &'static str, word: u32) {
        self.fields.push((name, ty));
        self.params.push(word);
    }

    /// Accessors and body of the launch `number`.
    fn piece(&mut self, piece: &Piece<'_>, number: usize, buffers: &[Held]) {
        let kernel = &piece.launch.kernel;
        if kernel.checks() {
            self.field(format!("rank_{number}"), "u32", piece.rank);
        }
        for (binding, held) in kernel.bindings.iter().zip(&piece.held) {
            let x = format!("{}_{number}", binding.name);
            let place = match held {
                Held::Buffer(_) => {
                    let at = buffers.iter().position(|buffer| buffer == held).expect("it was listed");
                    format!("{}[i]", BUFFERS[at])
                }
                Held::Register(register) => {
                    let register = format!("r{register}");
                    if binding.write {
                        let _ = writeln!(self.body, "var<private> {register}: vec4<f32>;");
                    }
                    register
                }
                Held::Fault => continue,
            };
            assert_eq!(binding.encoding, Encoding::F32, "{}: {} holds no floats", kernel.label, binding.name);
            let checked = |value: &str| match binding.finite {
                true => format!("checked({value}, p.rank_{number})"),
                false => value.to_string(),
            };
            let _ = writeln!(self.body, "fn {x}_at(i: u32) -> vec4<f32> {{ return {}; }}", checked(&place));
            if binding.write {
                let _ = writeln!(self.body, "fn {x}_put(i: u32, v: vec4<f32>) {{ {place} = {}; }}", checked("v"));
            }
        }
        for part in &kernel.body[1..] {
            self.rename(&expand::expand(part, &kernel.constants), piece.launch, number);
        }
    }

    /// Appends a body with the launch's number behind its names.
    fn rename(&mut self, body: &str, launch: &Launch, number: usize) {
        let kernel = &launch.kernel;
        let accessor = |name: &str| {
            let stem = name.strip_suffix("_at").or_else(|| name.strip_suffix("_put"));
            stem.is_some_and(|stem| kernel.bindings.iter().any(|binding| binding.name == stem))
        };
        let mut rest = body;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_') {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !is_of_name(c)).unwrap_or(from.len());
            let (name, after) = from.split_at(end);
            self.body += before;
            // A number's suffix is no name.
            let of_number = before.ends_with(|c: char| c.is_ascii_digit());
            let of_uniform = self.body.strip_suffix("p.").is_some_and(|text| !text.ends_with(is_of_name));
            let field = kernel.fields.iter().position(|(field, _)| of_uniform && field == name);
            if let Some(field) = field {
                let name = format!("{name}_{number}");
                self.body += &name;
                if self.fields.iter().all(|(known, _)| *known != name) {
                    self.field(name, kernel.fields[field].1, launch.params[field]);
                }
            } else if !of_number && name == "at" {
                let _ = write!(self.body, "at_{number}");
            } else if !of_number && accessor(name) {
                let (stem, access) = name.rsplit_once('_').unwrap_or((name, ""));
                let _ = write!(self.body, "{stem}_{number}_{access}");
            } else {
                self.body += name;
            }
            rest = after;
        }
        self.body += rest;
    }
}
