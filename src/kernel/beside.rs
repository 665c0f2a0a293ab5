//! `beside`: combines independent launches into one, whose workgroups run side by side.
//!
//! The combined text contains all of theirs, with the launch's number appended to every name. The
//! entry point selects a launch by workgroup index, which is uniform, so that each launch may
//! contain barriers.

use super::accessors::accessors;
use super::merge::{BUFFERS, shared_bindings};
use super::names::{declared, renamed, without_aliases, without_comments};
use super::{Held, Launch, Piece, expand};
use std::fmt::Write as _;

/// Workgroup size of launches that can run side by side.
const THREADS: u32 = 64;

/// Workgroup memory reserved for the lanes of a reduction (`shaders/lanes.wgsl`), at most three
/// quads each.
const LANES_BYTES: usize = 64 * 48;

/// Whether a launch can run side by side with others at all. The heavy products cannot, because
/// they need all registers and workgroup memory.
pub fn goes_side_by_side(launch: &Launch) -> bool {
    let kernel = &launch.kernel;
    kernel.threads == THREADS && launch.executed == 0 && !kernel.trusted && !kernel.f16
}

/// Returns an upper bound of a launch's workgroup memory.
pub(crate) fn workgroup_bytes(launch: &Launch) -> usize {
    let reduces = launch.kernel.constants.iter().any(|&(name, value)| name == "SHARED" && value != 0);
    if reduces { LANES_BYTES } else { 0 }
}

/// Combines launches into one, and returns it with the contents of its bindings, in order.
///
/// # Panics
///
/// Panics if a launch cannot run side by side with others, or if there are more than
/// [`MOST_BUFFERS`](super::MOST_BUFFERS) buffers. Both are bugs in the caller.
pub fn beside(pieces: &[Piece<'_>]) -> (Launch, Vec<Held>) {
    assert!(
        pieces.iter().all(|piece| goes_side_by_side(piece.launch)),
        "a launch that cannot run side by side with others"
    );
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

/// Returns a launch's declarations and the body of its entry point, with unique names. Barriers
/// occur only in entry points, so that they stay in uniform control flow.
fn text(piece: &Piece<'_>, number: usize, buffers: &[Held]) -> (String, String) {
    let kernel = &piece.launch.kernel;
    let mut text = format!("const THREADS: u32 = {}u;\n", kernel.threads);
    for (name, value) in &kernel.constants {
        let _ = writeln!(text, "const {name}: u32 = {value}u;");
    }
    kernel.bindings.iter().filter(|binding| !binding.is_atomic()).for_each(|binding| text += &accessors(binding));
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
        if let Some((_, held)) = bound.filter(|(binding, _)| !binding.is_atomic()) {
            let at = buffers.iter().position(|buffer| buffer == held).expect("it was listed");
            return Some(BUFFERS[at].to_string());
        }
        names.contains(name).then(|| format!("{name}_{number}"))
    };
    let own = |text: &str| renamed(text, rename, |field| Some(format!("{field}_{number}")));
    (own(&declarations), own(entry.trim_start_matches('\n')))
}
