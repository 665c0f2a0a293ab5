//! `[[model.layers]]`: joins, flatten, dropout, dilated and grouped convolutions.

use super::{RIGHT, wrong};
use halfwave::model::{Conv, Dropout, Fixed, FixedWeights, Form, LayerKind, Packed, Rounding, Weights};
use halfwave::recipe::Recipe;

/// [`RIGHT`] with other layers after "conv1", which is 16×8×8.
fn with(layers: &str) -> String {
    let (before, rest) = RIGHT.split_once("[[model.layers]]\nname = \"q1\"").unwrap();
    let (_, after) = rest.split_once("[[model.layers]]\nname = \"fc\"").unwrap();
    format!("{before}{layers}\n[[model.layers]]\nname = \"fc\"{after}")
}

/// A layer named "x".
fn x(keys: &str) -> String {
    with(&format!("[[model.layers]]\nname = \"x\"\n{keys}"))
}

/// The layer "x" of a valid recipe, which must be the same after all defaults are spelt out.
fn parsed(text: &str) -> LayerKind {
    let recipe = Recipe::parse(text, "test.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let resolved = recipe.to_toml();
    let again = Recipe::parse(&resolved, "resolved.toml").unwrap_or_else(|error| panic!("{error}\n{resolved}"));
    assert_eq!(again, recipe, "{resolved}");
    recipe.model.layers.into_iter().find(|layer| layer.name == "x").unwrap().kind
}

#[test]
fn joins_flatten_and_dropout_are_read() {
    assert_eq!(parsed(&x("kind = \"dropout\"")), LayerKind::Dropout(Dropout { rate: 0.5 }));
    assert_eq!(parsed(&x("kind = \"dropout\"\nrate = 0")), LayerKind::Dropout(Dropout { rate: 0.0 }));
    assert_eq!(parsed(&x("kind = \"flatten\"")).name(), "flatten");
    let joined = parsed(&x("kind = \"concat\"\nfrom = [\"conv1\", \"input\", \"conv1\"]"));
    assert_eq!(joined.name(), "concat");
}

#[test]
fn dilated_and_grouped_convolutions_are_read() {
    let conv = |keys: &str| parsed(&x(&format!("kind = \"conv\"\nfilters = 32\nkernel = 3\n{keys}")));
    let expected = Conv { filters: 32, ..Conv::default() };
    assert_eq!(conv(""), LayerKind::Conv(expected.clone()));
    assert_eq!(
        conv("dilation = 2\ngroups = 8"),
        LayerKind::Conv(Conv { dilation: [2, 2], groups: 8, ..expected.clone() })
    );
    assert_eq!(conv("dilation = [1, 3]"), LayerKind::Conv(Conv { dilation: [1, 3], ..expected }));
}

#[test]
fn fixed_point_is_read() {
    let expected = Fixed { format: [2, 14], rounding: Rounding::Nearest, gradient_format: None };
    assert_eq!(parsed(&x("kind = \"fixed\"")), LayerKind::Fixed(expected));
    let keys = "kind = \"fixed\"\nformat = [3, 5]\nrounding = \"stochastic\"\ngradient_format = [1, 0]";
    let expected = Fixed { format: [3, 5], rounding: Rounding::Stochastic, gradient_format: Some([1, 0]) };
    assert_eq!(parsed(&x(keys)), LayerKind::Fixed(expected.clone()));
    assert_eq!(
        parsed(&x(&keys.replace("[1, 0]", "\"float\""))),
        LayerKind::Fixed(Fixed { gradient_format: None, ..expected })
    );
}

#[test]
fn weights_are_read() {
    let weights =
        |keys: &str| parsed(&x(&format!("kind = \"conv\"\nfilters = 32\nkernel = 3\n{keys}"))).weights().unwrap();
    assert_eq!(
        weights("weights = \"abc\"\nbases = 2\ngradient_bits = 6"),
        Weights::Packed(Packed { form: Form::Abc { bases: 2 }, clip: false, gradient_bits: 6 })
    );
    let format = [1, 7];
    assert_eq!(
        weights(
            "weights = \"fixed\"\nweight_format = [1, 7]\nweight_rounding = \"stochastic\"\ngradient_format = [3, 9]"
        ),
        Weights::Fixed(FixedWeights { format, rounding: Rounding::Stochastic, gradient_format: Some([3, 9]) })
    );
}

#[test]
fn mistakes_name_line_layer_and_numbers() {
    let conv = |keys: &str| x(&format!("kind = \"conv\"\nfilters = 32\nkernel = 3\n{keys}"));
    let fixed = |keys: &str| x(&format!("kind = \"fixed\"\n{keys}"));
    let table: [(String, usize, &[&str]); 20] = [
        (fixed("format = 8"), 15, &["\"x\" (fixed)", "format = 8", "give [IL, FL]"]),
        (fixed("format = [0, 8]"), 15, &["format = [0, 8]", "at least 1 integer bit"]),
        (fixed("format = [16, 9]"), 15, &["at most 24 bits in total"]),
        (fixed("gradient_format = \"half\""), 15, &["gradient_format", "float"]),
        (fixed("rounding = \"up\""), 15, &["rounding", "nearest"]),
        (conv("weights = \"abc\"\nbases = 6"), 18, &["bases = 6", "from 1 to 5"]),
        (conv("weights = \"binary\"\ngradient_bits = 16"), 12, &["gradient_bits = 16", "1 to 8 bits, or 32"]),
        (conv("weights = \"float\"\ngradient_bits = 6"), 18, &["gradient_bits", "no meaning"]),
        (x("kind = \"dropout\"\nrate = 1"), 15, &["\"x\" (dropout)", "rate = 1", "from 0 to below 1"]),
        (x("kind = \"dropout\"\nrate = -0.5"), 15, &["rate = -0.5"]),
        (x("kind = \"dropout\"\nrate = \"half\""), 15, &["rate = \"half\""]),
        (x("kind = \"flatten\"\naxis = 1"), 15, &["\"x\" (flatten)", "unknown key \"axis\""]),
        (x("kind = \"flatten\"\nfrom = [\"conv1\", \"input\"]"), 12, &["exactly one input, not 2", "concat"]),
        (x("kind = \"concat\""), 12, &["\"x\" (concat)", "from = [\"a\", \"b\"]"]),
        (
            with(
                "[[model.layers]]\nname = \"p\"\nkind = \"max_pool\"\nkernel = 2\n[[model.layers]]\nname = \"x\"\nkind = \"concat\"\nfrom = [\"conv1\", \"p\"]",
            ),
            16,
            &["\"x\" (concat)", "16×8×8 and 16×4×4"],
        ),
        (conv("groups = 3"), 12, &["\"x\" (conv)", "groups = 3 does not divide the 16 channels of its input"]),
        (conv("groups = 0"), 17, &["groups = 0", "from 1 to"]),
        (conv("dilation = 0"), 17, &["dilation = 0"]),
        (conv("dilation = [4, 1]"), 12, &["the 9×3 kernel is larger than its input 16×8×8", "less dilation"]),
        (conv("dilation = [1, 2, 3]"), 17, &["[vertical, horizontal]"]),
    ];
    for (text, line, parts) in table {
        let (at, message) = wrong(&text);
        for part in parts {
            assert!(message.contains(part), "{message}\nshould say {part}, of\n{text}");
        }
        assert_eq!(at, line, "{message}");
    }
    let filters = x("kind = \"conv\"\nfilters = 12\nkernel = 3\ngroups = 8");
    assert!(wrong(&filters).1.contains("groups = 8 does not divide the 12 filters"), "{}", wrong(&filters).1);
}
