//! Convolutions. Packed ones are `Conv` over what the codes represent, with integer weights: sums of
//! at most 2^24 are exact in floats in any order.

use super::graph::{Element, Value};
use super::layers::{Dialect, Scope, to, window};
use halfwave_infer::{Coding, Kind, Op, Type};

/// A convolution of floats.
pub(super) fn floats(scope: &mut Scope<'_>, op: &Op, x: &Value, ty: &Type, like: &Value) -> Value {
    let Op::Conv { window: under, filters, weight } = op else { unreachable!("a convolution") };
    let ([r, s], c, k) = (under.kernel, ty.channels(), *filters);
    // [r, s, c, k] as [k, c, r, s].
    let (taps, mut values) = (r * s, Vec::with_capacity(weight.len()));
    for filter in 0..k {
        for channel in 0..c {
            values.extend((0..taps).map(|tap| weight[(tap * c + channel) * k + filter]));
        }
    }
    let weight = scope.floats("weight", &[k, c, r, s], &values);
    scope.node("Conv", "", &[x, &weight], &window(under), like)
}

/// A packed convolution; with several levels or bases, term by term as the engine computes it.
pub(super) fn packed(
    scope: &mut Scope<'_>,
    dialect: &dyn Dialect,
    op: &Op,
    x: &Value,
    ty: &Type,
    like: &Value,
) -> Value {
    let Op::PackedConv { window: under, filters, coding, bases, planes, signs, coefficients, scale } = op else {
        unreachable!("a packed convolution");
    };
    let ([r, s], c, k) = (under.kernel, ty.channels(), *filters);
    let dims = [k, r, s, c];
    let of_plane = signs.len() / (bases * planes);
    let split: Vec<_> = signs.chunks_exact(of_plane.max(1)).map(|signs| plane(signs, dims)).collect();
    let weights: Vec<_> = split
        .chunks_exact(*planes)
        .enumerate()
        .map(|(base, planes)| {
            let array = if *bases == 1 { "weight".into() } else { format!("weight{base}") };
            dialect.weights(scope, &array, planes, &[k, c, r, s])
        })
        .collect();
    let values = match coding {
        Coding::Uniform => vec![x.clone()],
        Coding::Sign => {
            let [two, minus] = [scope.float("two", 2.0), scope.float("minus_one", -1.0)];
            let signs = scope.scale("signs", x, Some(&two), Some(&minus));
            vec![signs]
        }
        Coding::Levels(levels) => (1..=*levels)
            .map(|level| {
                let least = scope.float(&format!("level{level}"), level as f32);
                let part = format!("level{level}");
                let reached = x.of(Element::Bool);
                let reached = scope.node("GreaterOrEqual", &format!("{part}/reached"), &[x, &least], &[], &reached);
                scope.node("Cast", &part, &[&reached], &[to(Element::Float)], x)
            })
            .collect(),
    };
    let attributes = window(under);
    if !op.combines() {
        let sums = scope.node("Conv", "", &[&values[0], &weights[0]], &attributes, like);
        return sums;
    }
    let mut total: Option<Value> = None;
    for (term, coefficients) in coefficients.chunks_exact(k).enumerate() {
        let (value, weight) = (&values[term / bases], &weights[term % bases]);
        let part = format!("term{term}");
        let sums = scope.node("Conv", &format!("{part}/sums"), &[value, weight], &attributes, like);
        dialect.note(scope.graph, &sums, Kind::Sums((c * r * s) as u32 * ((1 << planes) - 1)));
        let coefficients = scope.channels(&format!("coefficients{term}"), coefficients);
        let product = scope.node("Mul", &part, &[&coefficients, &sums], &[], like);
        total = Some(match total {
            Some(total) => scope.node("Add", &format!("total{term}"), &[&total, &product], &[], like),
            None => product,
        });
    }
    let total = total.unwrap_or_else(|| x.clone());
    let scale = scope.float("scale", scale[0]);
    scope.node("Mul", "", &[&scale, &total], &[], like)
}

/// A plane of signs `[k, r, s, ⌈c/32⌉]` as ±1 `[k, c, r, s]`.
fn plane(signs: &[u32], [k, r, s, c]: [usize; 4]) -> Vec<i8> {
    let (words, taps) = (c.div_ceil(32), r * s);
    let mut values = Vec::with_capacity(k * c * taps);
    for filter in signs.chunks_exact(taps * words).take(k) {
        for channel in 0..c {
            let bit = |tap: usize| filter[tap * words + channel / 32] >> (channel % 32) & 1;
            values.extend((0..taps).map(|tap| if bit(tap) == 1 { 1 } else { -1 }));
        }
    }
    values
}
