//! Shapes of models, and detection of every kind of mistake.
use super::*;

/// Creates a model of layers in a row, each reading the previous one.
fn chain(input: [usize; 3], classes: usize, kinds: Vec<(&str, LayerKind)>) -> Model {
    let mut from = INPUT;
    let mut layers = Vec::new();
    for (name, kind) in kinds {
        layers.push(Layer::new(name, from, kind));
        from = name;
    }
    Model { input, classes, layers }
}

fn conv(filters: usize, weights: Weights) -> LayerKind {
    LayerKind::Conv(Conv { filters, padding: [1, 1], weights, ..Conv::default() })
}

fn fc(units: usize) -> LayerKind {
    LayerKind::Linear(Linear { units, ..Linear::default() })
}

fn hwgq() -> LayerKind {
    LayerKind::Hwgq(Hwgq::default())
}

fn pool(kernel: usize) -> LayerKind {
    LayerKind::MaxPool(Pool::square(kernel))
}

fn vgg_small() -> Model {
    let (norm, float, binary) = (LayerKind::BatchNorm(BatchNorm::default()), Weights::FLOAT, Weights::BINARY);
    let mut layers = vec![("conv1", conv(128, float))];
    layers.extend([("bn1", norm.clone()), ("q1", hwgq()), ("conv2", conv(128, binary)), ("pool2", pool(2))]);
    layers.extend([("bn2", norm.clone()), ("q2", hwgq()), ("conv3", conv(256, binary))]);
    layers.extend([("bn3", norm.clone()), ("q3", hwgq()), ("conv4", conv(256, binary)), ("pool4", pool(2))]);
    layers.extend([("bn4", norm.clone()), ("q4", hwgq()), ("conv5", conv(512, binary))]);
    layers.extend([("bn5", norm.clone()), ("q5", hwgq()), ("conv6", conv(512, binary))]);
    layers.extend([("bn6", norm), ("relu6", LayerKind::Relu(Relu)), ("pool6", pool(2)), ("fc", fc(10))]);
    chain([3, 32, 32], 10, layers)
}

#[test]
fn a_stride_beyond_the_input_is_an_error() {
    let model = |stride| Model {
        input: [1, 8, 8],
        classes: 4,
        layers: vec![
            Layer::new("conv1", INPUT, LayerKind::Conv(Conv { stride, padding: [1, 1], ..Conv::default() })),
            Layer::new("fc", "conv1", LayerKind::Linear(Linear { units: 4, ..Linear::default() })),
        ],
    };
    assert_eq!(model([10, 10]).shapes().unwrap()[0], [1, 1, 1]);
    let error = model([10, 11]).shapes().unwrap_err().to_string();
    assert!(error.contains("stride 10×11 is larger than its input 1×8×8 with padding 1×1"), "{error}");
}

#[test]
fn vgg_small_has_the_published_size() {
    let model = vgg_small();
    assert_eq!(model.weights_len(), Ok(4_656_522));
    assert_eq!(model.multiply_adds(), Ok(607_600_640));
    let shapes = model.shapes().unwrap();
    assert_eq!(shapes[shapes.len() - 2..], [[512, 4, 4], [10, 1, 1]]);
}

#[test]
fn windows_count_as_in_pytorch() {
    let kind = |v: Conv| chain([2, 9, 8], 1, vec![("a", LayerKind::Conv(v)), ("fc", fc(1))]).shapes().unwrap()[0];
    let odd = Conv { filters: 5, kernel: [3, 5], stride: [2, 1], padding: [1, 0], ..Conv::default() };
    assert_eq!(kind(odd), [5, 5, 4]);
    assert_eq!(kind(Conv { filters: 1, kernel: [9, 8], ..Conv::default() }), [1, 1, 1]);
    let pooled = LayerKind::AvgPool(Pool { kernel: [3, 3], stride: [2, 2], padding: [1, 1] });
    let model = chain([2, 9, 8], 2, vec![("a", pooled), ("g", LayerKind::GlobalAvgPool(GlobalAvgPool))]);
    assert_eq!(model.shapes().unwrap(), [[2, 5, 4], [2, 1, 1]]);
}

#[test]
fn layers_join_by_name() {
    let mut model = chain([3, 4, 4], 48, vec![("a", conv(3, Weights::FLOAT)), ("sum", LayerKind::Add(Add))]);
    model.layers[1].from.push(INPUT.into());
    assert_eq!(model.sources(1), Ok(vec![Some(0), None]));
    assert_eq!(model.shapes().unwrap()[1], [3, 4, 4]);
    model.layers[1].from.pop();
    assert!(model.shapes().unwrap_err().message.contains("two or more inputs"));
}

#[test]
fn grouped_and_dilated_windows_count_as_in_pytorch() {
    let model = |v: Conv| chain([6, 9, 8], 1, vec![("a", LayerKind::Conv(v)), ("fc", fc(1))]);
    let dilated = Conv { filters: 4, kernel: [3, 2], dilation: [3, 4], padding: [1, 0], ..Conv::default() };
    assert_eq!(model(dilated.clone()).shapes().unwrap()[0], [4, 5, 4]);
    // Dilation changes only the number of windows.
    assert_eq!(model(dilated.clone()).weights_len(), Ok(4 * 6 * 6 + (4 * 5 * 4 + 1)));
    let strided = Conv { stride: [2, 3], ..dilated };
    assert_eq!(model(strided).shapes().unwrap()[0], [4, 3, 2]);
    let grouped =
        Conv { filters: 12, kernel: [3, 3], padding: [1, 1], groups: 3, weights: Weights::BINARY, ..Conv::default() };
    let depthwise = Conv { filters: 6, groups: 6, kernel: [1, 1], bias: true, ..Conv::default() };
    for (conv, weights, per_pixel) in [(grouped, 12 * 2 * 9, 12 * 2 * 9), (depthwise, 6 + 6, 6)] {
        let values = conv.filters as u64 * 72;
        let model = model(conv);
        assert_eq!(model.weights_len(), Ok(weights + values + 1), "{model:?}");
        assert_eq!(model.multiply_adds(), Ok(per_pixel * 72 + values), "{model:?}");
    }
}

#[test]
fn channels_are_joined_and_images_flattened() {
    let mut model = chain(
        [3, 4, 4],
        112,
        vec![
            ("a", conv(4, Weights::FLOAT)),
            ("both", LayerKind::Concat(Concat)),
            ("drop", LayerKind::Dropout(Dropout::default())),
            ("flat", LayerKind::Flatten(Flatten)),
        ],
    );
    model.layers[1].from.push(INPUT.into());
    assert_eq!(model.shapes().unwrap(), [[4, 4, 4], [7, 4, 4], [7, 4, 4], [112, 1, 1]]);
    assert_eq!(model.reads(3), Ok(vec![Some(2)]));
    model.layers[2] = Layer::new("drop", "both", LayerKind::MaxPool(Pool::square(2)));
    model.layers[0].from = vec!["input".into()];
    model.layers[1].from = vec!["a".into(), "input".into(), "a".into()];
    model.classes = 44;
    assert_eq!(model.shapes().unwrap()[1..3], [[11, 4, 4], [11, 2, 2]]);
    model.layers[1].from = vec!["a".into()];
    assert!(model.shapes().unwrap_err().message.contains("two or more inputs"));
    model.layers[1] = Layer::new("p", "a", LayerKind::MaxPool(Pool::square(2)));
    model.layers[2] =
        Layer { from: vec!["a".into(), "p".into()], ..Layer::new("both", "a", LayerKind::Concat(Concat)) };
    let message = model.shapes().unwrap_err().message;
    assert!(message.contains("height and width, but are 4×4×4 and 4×2×2"), "{message}");
}

#[test]
fn a_linear_layer_reads_past_flatten_layers() {
    let flat = || LayerKind::Flatten(Flatten);
    let binary = LayerKind::Linear(Linear { units: 10, bias: false, weights: Weights::BINARY });
    let model = chain([1, 8, 8], 10, vec![("q", hwgq()), ("f", flat()), ("g", flat()), ("fc", binary)]);
    assert_eq!(model.reads(3), Ok(vec![Some(0)]));
    assert_eq!(model.sources(3), Ok(vec![Some(2)]));
    assert!(!model.unpacks(3), "codes stay codes");
    assert_eq!((model.multiply_adds(), model.binary_multiply_adds()), (Ok(640), Ok(640)));
    assert_eq!(chain([1, 8, 8], 10, vec![("f", flat()), ("fc", fc(10))]).reads(1), Ok(vec![None]));
}

#[test]
fn every_mistake_is_named() {
    let float = || conv(4, Weights::FLOAT);
    let with = |edit: &dyn Fn(&mut Conv)| {
        let mut v = Conv { filters: 4, padding: [1, 1], ..Conv::default() };
        edit(&mut v);
        LayerKind::Conv(v)
    };
    let model = |kinds| chain([1, 8, 8], 10, kinds);
    let pooled = |kernel: [usize; 2], stride, padding| LayerKind::MaxPool(Pool { kernel, stride, padding });
    let end = || ("fc", fc(10));
    let unbiased = Linear { units: 10, bias: false, weights: Weights::BINARY };
    let table: Vec<(Model, Option<usize>, &str)> = vec![
        (model(vec![]), None, "no layers"),
        (chain([0, 8, 8], 10, vec![end()]), None, "0×8×8"),
        (chain([1, 8, 8], 0, vec![end()]), None, "classes = 0"),
        (chain([1 << 20, 1 << 20, 1 << 20], 10, vec![end()]), None, "model input"),
        (model(vec![("a/b", float()), end()]), Some(0), "letters"),
        (model(vec![("", float()), end()]), Some(0), "letters"),
        (model(vec![("input", float()), end()]), Some(0), "the model's input"),
        (model(vec![("a", float()), ("a", float()), end()]), Some(1), "unique"),
        (model(vec![("a", with(&|v| v.filters = 0)), end()]), Some(0), "filters = 0"),
        (model(vec![("a", with(&|v| v.kernel[0] = 0)), end()]), Some(0), "at least 1"),
        (model(vec![("a", with(&|v| v.stride[1] = 0)), end()]), Some(0), "at least 1"),
        (
            model(vec![("a", with(&|v| v.kernel = [11, 3])), end()]),
            Some(0),
            "11×3 kernel is larger than its input 1×8×8",
        ),
        (model(vec![("a", with(&|v| v.padding[0] = usize::MAX)), end()]), Some(0), "padding is too large"),
        (model(vec![("a", with(&|v| v.padding = [1 << 20; 2])), end()]), Some(0), "too large"),
        (model(vec![("a", with(&|v| v.filters = 1 << 30)), end()]), Some(0), "too many weights"),
        (model(vec![("a", with(&|v| v.dilation[1] = 0)), end()]), Some(0), "dilation must be at least 1"),
        (model(vec![("a", with(&|v| v.dilation = [5, 1])), end()]), Some(0), "11×3 kernel is larger"),
        (model(vec![("a", with(&|v| v.dilation = [5, 1])), end()]), Some(0), "less dilation"),
        (model(vec![("a", with(&|v| v.dilation[0] = usize::MAX)), end()]), Some(0), "dilation is too large"),
        (model(vec![("a", with(&|v| v.groups = 0)), end()]), Some(0), "groups = 0"),
        (model(vec![("a", with(&|v| v.groups = 2)), end()]), Some(0), "divide the 1 channels of its input"),
        (
            model(vec![("a", float()), ("b", with(&|v| (v.filters, v.groups) = (6, 4))), end()]),
            Some(1),
            "groups = 4 does not divide the 6 filters",
        ),
        (model(vec![("d", LayerKind::Dropout(Dropout { rate: 1.0 })), end()]), Some(0), "rate = 1"),
        (model(vec![("d", LayerKind::Dropout(Dropout { rate: f32::NAN })), end()]), Some(0), "rate = NaN"),
        (model(vec![("a", pooled([2; 2], [2; 2], [2; 2])), end()]), Some(0), "smaller than the kernel 2×2"),
        (model(vec![("a", pooled([2; 2], [0; 2], [0; 2])), end()]), Some(0), "at least 1"),
        (model(vec![("fc", fc(0))]), Some(0), "units = 0"),
        (model(vec![("fc", fc(9))]), Some(0), "units = 10"),
        (model(vec![("q", hwgq()), ("fc", LayerKind::Linear(Linear { bias: true, ..unbiased }))]), Some(1), "no bias"),
        (
            model(vec![
                ("q", hwgq()),
                (
                    "a",
                    with(&|v| {
                        v.bias = true;
                        v.weights = Weights::BINARY;
                    }),
                ),
                end(),
            ]),
            Some(1),
            "no bias",
        ),
        (
            model(vec![("q", LayerKind::Hwgq(Hwgq { bits: 5, ..Hwgq::default() })), end()]),
            Some(0),
            "bits = 5: a hwgq layer has 1, 2, 3 or 4",
        ),
        (
            model(vec![("b", LayerKind::BatchNorm(BatchNorm { eps: 0.0, ..BatchNorm::default() })), end()]),
            Some(0),
            "eps = 0",
        ),
        (
            model(vec![("b", LayerKind::BatchNorm(BatchNorm { momentum: f32::NAN, ..BatchNorm::default() })), end()]),
            Some(0),
            "momentum = NaN",
        ),
    ];
    for (model, layer, part) in table {
        let error = model.shapes().expect_err(part);
        assert_eq!(error.layer, layer, "{error}");
        assert!(error.message.contains(part), "{error} should say {part}");
        if let Some(at) = layer {
            assert!(error.message.contains(&format!("\"{}\"", model.layers[at].name)), "{error}");
        }
    }
}

#[test]
fn wrong_connections_are_named() {
    let mut model =
        chain([1, 8, 8], 10, vec![("a", LayerKind::Relu(Relu)), ("b", LayerKind::Relu(Relu)), ("fc", fc(10))]);
    let message = |model: &Model| model.shapes().unwrap_err().message;
    model.layers[1].from = vec!["aa".into()];
    assert_eq!(
        message(&model),
        "layer \"b\" (relu): from = \"aa\": that layer does not exist; choose among \"a\", \"input\""
    );
    model.layers[1].from = vec!["fc".into()];
    assert!(message(&model).contains("does not come before"));
    model.layers[1].from = vec!["a".into(), "a".into()];
    assert!(message(&model).contains("exactly one input, not 2"));
    model.layers[1].from = vec![];
    assert!(message(&model).contains("exactly one input, not 0"));
    model.layers[1].from = vec![INPUT.into()];
    assert_eq!(model.shapes().unwrap_err().layer, Some(0));
    assert!(message(&model).contains("no later layer takes its output"));
    model.layers[1] = Layer::new("b", "a", LayerKind::MaxPool(Pool::square(2)));
    model.layers.insert(2, Layer { from: vec!["a".into(), "b".into()], ..Layer::new("s", "a", LayerKind::Add(Add)) });
    assert!(message(&model).contains("1×8×8 and 1×4×4"));
}

#[test]
fn packed_weights_are_unpacked_over_floats() {
    let relu = || LayerKind::Relu(Relu);
    let binary = || conv(4, Weights::BINARY);
    let layers = vec![
        ("a", binary()),
        ("r", relu()),
        ("p", pool(2)),
        ("b", binary()),
        ("q", hwgq()),
        ("m", pool(2)),
        ("c", binary()),
        ("fc", fc(10)),
    ];
    let model = chain([1, 8, 8], 10, layers);
    let unpacked: Vec<_> = (0..model.layers.len()).map(|index| model.unpacks(index)).collect();
    assert_eq!(unpacked, [true, false, false, true, false, false, false, false]);
    // 4 filters of 4 × 9 weights on 2 × 2 pixels.
    assert_eq!(model.binary_multiply_adds(), Ok(4 * 4 * 9 * 4));
}
