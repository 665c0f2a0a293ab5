//! From bytes N, H, W, C to normalised floats N, C, H, W.

use super::graph::{Attr, Element, Graph, Value};
use super::layers::{Scope, to};
use halfwave_infer::Input;

/// Name of the input, and of the layer that normalises it.
pub(super) const IMAGES: &str = "images";

/// Adds the input and its normalisation: a factor and a summand where they give exactly the floats
/// of the table, else a look-up.
pub(super) fn normalised(graph: &mut Graph, input: &Input) -> Value {
    let [h, w, c] = input.shape;
    let doc = "images as bytes in the range of the training images (metadata: card.max pixel): batch, height, width, channels";
    let images = graph.input(IMAGES, Element::Uint8, &input.shape, doc);
    let scope = &mut Scope { graph, layer: "input" };
    let tables: Vec<Vec<f32>> =
        (0..c).map(|channel| input.table.iter().skip(channel).step_by(c).copied().collect()).collect();
    let lines: Option<Vec<_>> = tables.iter().map(|table| line(table)).collect();
    let mut x = match lines {
        Some(lines) => {
            let (gain, shift): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
            let floats = scope.node("Cast", "float", &[&images], &[to(Element::Float)], &images.of(Element::Float));
            let gain = gain.iter().any(|&gain| gain != 1.0).then(|| per_channel(scope, "gain", &gain));
            let shift = shift.iter().any(|&shift| shift != 0.0).then(|| per_channel(scope, "shift", &shift));
            scope.scale("normalised", &floats, gain.as_ref(), shift.as_ref())
        }
        None => look_up(scope, input, &tables, &images),
    };
    if !input.mean.is_empty() {
        let mean = scope.floats("mean", &input.shape, &input.mean);
        x = scope.node("Sub", "centred", &[&x, &mean], &[], &x);
    }
    let order = [("perm", Attr::Ints(vec![0, 3, 1, 2]))];
    scope.node("Transpose", "", &[&x], &order, &x.shaped(&[c, h, w]))
}

/// A constant for each channel, the last dimension; one number if all are equal.
fn per_channel(scope: &mut Scope<'_>, array: &str, values: &[f32]) -> Value {
    match values.iter().all(|value| *value == values[0]) {
        true => scope.float(array, values[0]),
        false => scope.floats(array, &[values.len()], values),
    }
}

/// The factor and the summand that give exactly these 256 floats, with a rounding after each step.
fn line(table: &[f32]) -> Option<(f32, f32)> {
    let shift = table[0];
    let slope = ((f64::from(table[255]) - f64::from(shift)) / 255.0) as f32;
    let gains = [slope, slope.next_up(), slope.next_down(), table[1] - shift];
    let fits = |gain: &f32| (0..=u8::MAX).zip(table).all(|(byte, value)| f32::from(byte) * gain + shift == *value);
    gains.into_iter().find(fits).map(|gain| (gain, shift))
}

/// Reads each float from the table `[256, c]`, or from one of 256 floats if the channels are alike.
fn look_up(scope: &mut Scope<'_>, input: &Input, tables: &[Vec<f32>], images: &Value) -> Value {
    let like = images.of(Element::Int32);
    let mut indices = scope.node("Cast", "bytes", &[images], &[to(Element::Int32)], &like);
    let alike = tables.iter().all(|table| *table == tables[0]);
    let table = if alike {
        scope.floats("table", &[256], &tables[0])
    } else {
        let c = tables.len();
        let mut whole = |array: &str, shape: &[usize], values: Vec<i32>| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let name = scope.array(array);
            scope.graph.initialiser(&name, Element::Int32, shape, bytes)
        };
        let [count, channel] =
            [whole("channels", &[], vec![c as i32]), whole("channel", &[c], (0..c as i32).collect())];
        indices = scope.node("Mul", "row", &[&count, &indices], &[], &like);
        indices = scope.node("Add", "index", &[&channel, &indices], &[], &like);
        scope.floats("table", &[256 * c], &input.table)
    };
    scope.node("Gather", "normalised", &[&table, &indices], &[("axis", Attr::Int(0))], &images.of(Element::Float))
}
