//! `merge`: merges launches that process the same quads ([`Launch::each_quad`]) into one, with a
//! common body.
//!
//! They run one after the other within an invocation. The launch's number is appended to names.
//! Values that only they read stay in registers.

use super::halves::SEEN;
use super::names::{declared, renamed, without_comments};
use super::{Binding, FAULT, Launch, expand};
use crate::tensor::Encoding;
use std::fmt::Write as _;

/// Most storage buffers of a merged launch, if the device supports that many. wgpu allows at most
/// 28 buffers of all kinds by default.
pub const MOST_BUFFERS: usize = 24;

/// Most buffers that it binds as uniforms.
const MOST_UNIFORMS: usize = 2;

/// Names of the buffers of a merged kernel.
pub(super) const BUFFERS: [&str; MOST_BUFFERS + MOST_UNIFORMS] = [
    "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16", "s17",
    "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25",
];

/// The location of an operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Held {
    /// The buffer with this index.
    Buffer(usize),
    /// The register with this index.
    Register(usize),
    /// The fault word.
    Fault,
    /// The table that writers of values in half precision update.
    Seen,
}

impl Held {
    /// Returns the name that a binding keeps in merged launches, if it has a fixed one; its words
    /// are raised atomically by all launches, in any order.
    pub(super) fn raised(self) -> Option<&'static str> {
        match self {
            Self::Fault => Some(FAULT),
            Self::Seen => Some(SEEN),
            Self::Buffer(_) | Self::Register(_) => None,
        }
    }
}

/// A launch to be merged.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    /// The launch.
    pub launch: &'a Launch,
    /// The location of each of its operands.
    pub held: Vec<Held>,
    /// The rank of its node in the fault word.
    pub rank: u32,
}

/// Returns the distinct bindings of the launches; atomically raised ones come last.
fn bindings<'a>(pieces: impl Iterator<Item = &'a Piece<'a>>) -> Vec<Held> {
    let mut all = Vec::new();
    for held in pieces.flat_map(|piece| &piece.held) {
        if !matches!(held, Held::Register(_)) && !all.contains(held) {
            all.push(*held);
        }
    }
    all.sort_by_key(|held| held.raised());
    all
}

/// Returns the bindings that refer to a buffer.
fn of_buffer<'a>(pieces: impl Iterator<Item = &'a Piece<'a>>, wanted: Held) -> impl Iterator<Item = &'a Binding> {
    let operands = pieces.flat_map(|piece| piece.launch.kernel.bindings.iter().zip(&piece.held));
    operands.filter(move |(_, held)| **held == wanted).map(|(binding, _)| binding)
}

/// Whether launches can be merged into one with at most `buffers` storage buffers.
pub fn fits<'a>(pieces: impl Iterator<Item = &'a Piece<'a>> + Clone, buffers: usize) -> bool {
    let held = bindings(pieces.clone());
    let uniform = |&&held: &&Held| of_buffer(pieces.clone(), held).all(|binding| binding.uniform.is_some());
    let uniforms = held.iter().filter(uniform).count();
    held.len() - uniforms <= buffers.min(MOST_BUFFERS) && uniforms <= MOST_UNIFORMS
}

/// Returns the bindings of merged launches (each buffer once, atomically raised ones last), and
/// their locations.
pub(super) fn shared_bindings<'a>(pieces: impl Iterator<Item = &'a Piece<'a>> + Clone) -> (Vec<Binding>, Vec<Held>) {
    let held = bindings(pieces.clone());
    assert!(held.len() <= BUFFERS.len(), "{} buffers in one launch", held.len());
    let bound = held.iter().zip(BUFFERS).map(|(&wanted, name)| {
        let of_it: Vec<_> = of_buffer(pieces.clone(), wanted).collect();
        let encoding = match of_it[0].encoding {
            // The shared buffer has no scale, so it gets no float accessors: words are copied as
            // they are.
            Encoding::F16 => Encoding::I16,
            encoding => encoding,
        };
        let (name, encoding) = wanted.raised().map_or((name, encoding), |name| (name, Encoding::U32));
        let write = of_it.iter().any(|binding| binding.write);
        let uniform = of_it.iter().all(|binding| binding.uniform.is_some()).then_some(of_it[0].uniform).flatten();
        Binding { name, encoding, write, shared: false, finite: false, uniform, map: None }
    });
    (bound.collect(), held)
}

/// Merges launches for the same quads into one, and returns it with the contents of its bindings,
/// in order.
///
/// # Panics
///
/// Panics if a launch does not process quads of floats, or if there are more than [`MOST_BUFFERS`]
/// buffers. Both are bugs in the caller.
pub fn merge(pieces: &[Piece<'_>]) -> (Launch, Vec<Held>) {
    let (bindings, held) = shared_bindings(pieces.iter());
    let label = pieces.iter().map(|piece| piece.launch.kernel.label.as_str()).collect::<Vec<_>>().join("+");
    let mut launch = Launch::new(label, &[]);
    launch.kernel.bindings = bindings;
    let quads = pieces[0].launch.each_quad.expect("a launch for each quad");
    let mut text = Text { body: String::new(), fields: Vec::new(), params: Vec::new() };
    text.field("all_quads".to_string(), "u32", quads as u32);
    let mut calls = String::new();
    for (number, piece) in pieces.iter().enumerate() {
        text.piece(piece, number, &held);
        let _ = write!(calls, " at_{number}(i);");
    }
    let main = "    let i = group_index(group, groups) * THREADS + thread;";
    let _ = writeln!(text.body, "@main {{\n{main}\n    if (i < p.all_quads) {{{calls} }}\n}}");
    launch.kernel.fields = text.fields.into_iter().map(|(name, ty)| (name.into(), ty)).collect();
    launch.kernel.body = vec![text.body.into()];
    launch.params = text.params;
    (launch.float_ops(pieces.iter().map(|piece| piece.launch.float_ops).sum()).threads(quads), held)
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

    /// Appends accessors and body of the launch `number`, with unique names.
    fn piece(&mut self, piece: &Piece<'_>, number: usize, buffers: &[Held]) {
        let kernel = &piece.launch.kernel;
        let mut accessors = String::new();
        for (binding, held) in kernel.bindings.iter().zip(&piece.held) {
            let x = binding.name;
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
                Held::Fault | Held::Seen => continue,
            };
            assert_eq!(binding.encoding, Encoding::F32, "{}: {x} holds no floats", kernel.label);
            let checked = |value: &str| match binding.finite {
                true => format!("checked({value}, p.rank)"),
                false => value.to_string(),
            };
            let _ = writeln!(accessors, "fn {x}_at(i: u32) -> vec4<f32> {{ return {}; }}", checked(&place));
            if binding.write {
                let _ = writeln!(accessors, "fn {x}_put(i: u32, v: vec4<f32>) {{ {place} = {}; }}", checked("v"));
            }
        }
        let bodies = kernel.body[1..].iter().map(|part| expand::expand(part, &kernel.constants));
        let text = without_comments(&(accessors + &bodies.collect::<String>()));
        let used = |name: &str| text.contains(name);
        let constants = kernel.constants.iter().filter(|(name, _)| used(name));
        let constants = constants.map(|(name, value)| format!("const {name}: u32 = {value}u;\n"));
        let text = constants.collect::<String>() + &text;
        let names = declared(&text);
        let renamed = renamed(
            &text,
            |name| names.contains(name).then(|| format!("{name}_{number}")),
            |field| Some(format!("{field}_{number}")),
        );
        self.body += &renamed;
        let ranked = kernel.checks().then_some(("rank", "u32", piece.rank));
        let fields = kernel.fields.iter().zip(&piece.launch.params).map(|((name, ty), &word)| (&**name, *ty, word));
        for (name, ty, word) in fields.chain(ranked).filter(|(name, ..)| text.contains(&format!("p.{name}"))) {
            self.field(format!("{name}_{number}"), ty, word);
        }
    }
}
