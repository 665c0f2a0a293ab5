//! `beside`: launches that do not depend on each other as one launch, whose workgroups lie side by side.
//!
//! The text holds all of theirs, with the launch's number behind every name; the entry point chooses by the workgroup's place, which is uniform, so that barriers may stand in each.

use super::accessors::accessors;
use super::merge::{BUFFERS, shared_bindings};
use super::names::{declared, renamed, without_aliases, without_comments};
use super::{Held, Launch, Piece, expand};
use std::fmt::Write as _;

/// Invocations of a workgroup of launches that can stand beside others.
const THREADS: u32 = 64;

/// Workgroup memory that is kept for the lanes of a reduction (`shaders/lanes.wgsl`), at most three quads each.
const LANES_BYTES: usize = 64 * 48;

/// Whether a launch can stand beside others at all: the heavy products, which have registers and workgroup memory to themselves, cannot.
pub fn goes_beside(launch: &Launch) -> bool {
    let kernel = &launch.kernel;
    kernel.threads == THREADS && launch.executed == 0 && !kernel.trusted && !kernel.f16
}

/// Workgroup memory that a launch takes at most.
pub(crate) fn workgroup_bytes(launch: &Launch) -> usize {
    let reduces = launch.kernel.constants.iter().any(|&(name, value)| name == "SHARED" && value != 0);
    if reduces { LANES_BYTES } else { 0 }
}

/// Launches as one; what its bindings are, in order.
///
/// # Panics
/// When one of them does not go beside others, or there are more than [`MOST_BUFFERS`](super::MOST_BUFFERS): a mistake of the caller's.
pub fn beside(pieces: &[Piece<'_>]) -> (Launch, Vec<Held>) {
    assert!(pieces.iter().all(|piece| goes_beside(piece.launch)), "a launch that stands alone");
    let mut labels: Vec<_> = pieces.iter().map(|piece| piece.launch.kernel.label.as_str()).collect();
    labels.dedup();
    let (bindings, held) = shared_bindings(pieces.iter());
    let mut launch = Launch::new(labels.join(","), &[]);
    launch.kernel.bindings = bindings;
    let mut body = String::new();
    let mut main = String::from("@main {\n    let place = group_index(group, groups);\n");
    let (mut params, mut groups) = (Vec::new(), 0);
    for (number, piece) in pieces.iter().enumerate() {
        let kernel = &piece.launch.kernel;
        let words = piece.launch.params.iter().copied().chain(kernel.ranked().then_some(piece.rank));
        let fields = kernel.uniform().map(|(name, ty)| (format!("{name}_{number}").into(), ty));
        launch.kernel.fields.extend(fields);
        params.extend(words);
        let (declarations, entry) = text(piece, number, &held);
        body += &declarations;
        let first = if number == 0 { "0u".to_string() } else { format!("p.groups_{}", number - 1) };
        groups += piece.launch.groups.max(1);
        launch.kernel.fields.push((format!("groups_{number}").into(), "u32"));
        params.push(groups as u32);
        let _ = write!(
            main,
            "    {}if (place < p.groups_{number}) {{
        let group = vec3<u32>(place - {first}, 0u, 0u);
        let groups = vec3<u32>(p.groups_{number} - {first}, 1u, 1u);
{entry}    }}
",
            if number == 0 { "" } else { "else " }
        );
    }
    launch.kernel.body = vec![(body + &main + "}\n").into()];
    launch.params = params;
    let sum = |of: fn(&Launch) -> usize| pieces.iter().map(|piece| of(piece.launch)).sum();
    let moved = pieces.iter().map(|piece| piece.launch.moved_words).sum();
    (
        Launch { moved_words: moved, bit_ops: sum(|launch| launch.bit_ops), ..launch }
            .float_ops(sum(|launch| launch.float_ops))
            .groups(groups),
        held,
    )
}

/// What a launch declares, and what its entry point does, under names of its own. Barriers stand in entry points alone, so that stays where it is.
fn text(piece: &Piece<'_>, number: usize, buffers: &[Held]) -> (String, String) {
    let kernel = &piece.launch.kernel;
    let mut text = format!("const THREADS: u32 = {}u;\n", kernel.threads);
    for (name, value) in &kernel.constants {
        let _ = writeln!(text, "const {name}: u32 = {value}u;");
    }
    kernel.bindings.iter().filter(|binding| !binding.is_raised()).for_each(|binding| text += &accessors(binding));
    for part in &kernel.body {
        text += &expand::expand(part, &kernel.constants);
        text.push('\n');
    }
    let text = without_aliases(&without_comments(&text));
    let (before, rest) = text.split_once("@main {").expect("a body has an entry point");
    let mut open = 1;
    let end = rest.find(|c| {
        open = if c == '{' { open + 1 } else { open - i32::from(c == '}') };
        open == 0
    });
    let (entry, behind) = rest.split_at(end.expect("an entry point has an end"));
    let declarations = before.to_string() + &behind[1..];
    let names = declared(&declarations);
    let rename = |name: &str| {
        let bound = kernel.bindings.iter().zip(&piece.held).find(|(binding, _)| binding.name == name);
        if let Some((_, held)) = bound.filter(|(binding, _)| !binding.is_raised()) {
            let at = buffers.iter().position(|buffer| buffer == held).expect("it was listed");
            return Some(BUFFERS[at].to_string());
        }
        names.contains(name).then(|| format!("{name}_{number}"))
    };
    let own = |text: &str| renamed(text, rename, |field| Some(format!("{field}_{number}")));
    (own(&declarations), own(entry.trim_start_matches('\n')))
}
