//! Plans, without a device: golden prints, slots that are never shared by two live values, runs
//! that agree with an evaluation without a plan.
//!
//! Golden files are in `tests/golden/`; `UPDATE_GOLDEN=1 cargo test --test plan` rewrites them.
#![allow(clippy::unwrap_used)]

#[path = "plan/dispatches.rs"]
mod dispatches;
#[path = "gradient/evaluate.rs"]
mod evaluate;
#[path = "plan/launches.rs"]
mod launches;
#[path = "plan/random_graph.rs"]
mod random_graph;

use evaluate::leaf_name;
use halfwave::backend::{Backend, cpu::CpuBackend};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::{Phase, Value};
use halfwave::kernel::FAULT;
use halfwave::model::Model;
use halfwave::ops::sample::Noise;
use halfwave::ops::window::Window;
use halfwave::ops::{Graph, Leaf, Op, Role, conv::Conv};
use halfwave::pass::{self, AdamW, Bop, ImageInput, Loss, Moments, Optimizer, Rule};
use halfwave::plan::{Assignment, Lifetime, Plan, Together, arrange, lower, together};
use halfwave::recipe::Recipe;
use halfwave::tensor::{Encoding, TensorType};
use halfwave::testing::evaluate;
use random_graph::random_graph;
use std::ops::Range;
use std::path::Path;

const RANDOM_GRAPHS: u64 = 300;

/// A step of SGD on the cross-entropy.
fn training(model: &Model, batch: usize, dump: bool) -> halfwave::Result<Graph> {
    pass::training(model, batch, &ImageInput::Floats, &Loss::default(), &Optimizer::sgd(0.05, 0.9, 2e-3), dump)
}

fn model(text: &str) -> Model {
    Recipe::parse(text, "recipe").unwrap().model
}

fn digits() -> Model {
    model(include_str!("../assets/recipes/digits.toml"))
}

/// The digits network of the PyTorch reference, whose binary convolutions read sums after a pool
/// and directly.
fn digits_hwgq() -> Model {
    model(include_str!("../assets/reference/digits-hwgq.toml"))
}

fn residual() -> Model {
    model(include_str!("golden/residual.toml"))
}

#[test]
fn printed_plans_are_golden() {
    let (tiled, registers) = (Caps::baseline(DeviceClass::Gpu), Caps::baseline(DeviceClass::Software));
    let vgg = model(include_str!("../assets/recipes/vgg-small.toml"));
    let plans = [
        ("digits-training-tiled", training(&digits(), 64, false), &tiled),
        ("digits-training-registers", training(&digits(), 64, false), &registers),
        ("digits-inference-tiled", pass::inference(&digits(), 64), &tiled),
        ("residual-training-tiled", training(&residual(), 8, true), &tiled),
        ("vgg-small-training-tiled", training(&vgg, 50, false), &tiled),
    ];
    let mut stale = Vec::new();
    for (name, graph, caps) in plans {
        let graph = graph.unwrap();
        let plan = lower(&graph, caps).unwrap();
        let again = lower(&graph, caps).unwrap();
        assert!(plan == again && plan.hash() == again.hash(), "{name}: two plans of one graph differ");
        let text: String = plan.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
        if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        if golden != text {
            let line = golden.lines().zip(text.lines()).position(|(a, b)| a != b);
            let line = line.unwrap_or_else(|| golden.lines().count().min(text.lines().count()));
            let at = |text: &str| text.lines().nth(line).unwrap_or("(nothing)").to_string();
            stale.push(format!("{name}.txt:{}\n  golden: {}\n  now:    {}", line + 1, at(&golden), at(&text)));
        }
    }
    assert!(stale.is_empty(), "read the changes, then UPDATE_GOLDEN=1:\n{}", stale.join("\n"));
}

#[test]
fn hashes_tell_plans_apart() {
    let tiled = Caps::baseline(DeviceClass::Gpu);
    let hash = |batch, caps: &Caps| {
        let graph = training(&digits(), batch, false).unwrap();
        lower(&graph, caps).unwrap().hash()
    };
    let hashes = [hash(8, &tiled), hash(9, &tiled), hash(8, &Caps::baseline(DeviceClass::Software))];
    assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
}

/// A value's lifetime as range indices, both ends included: the inputs and outputs of nodes that
/// are computed together live at the same time.
#[derive(Clone, Copy)]
struct Life {
    slot: usize,
    from: usize,
    to: usize,
    /// The value, or `None` for scratch.
    value: Option<Value>,
}

/// Returns the lifetimes of all values and scratch buffers, derived only from the graph.
fn lives(graph: &Graph, units: &[Range<usize>], lasting: &[(Value, Value)], assignment: &Assignment) -> Vec<Life> {
    let unit_of = |node: usize| units.iter().position(|unit| unit.contains(&node)).unwrap();
    let mut all = Vec::new();
    for (value, node) in graph.iter() {
        let readers = graph.iter().filter(|(_, node)| node.inputs.contains(&value));
        let mut to = unit_of(readers.map(|(reader, _)| reader.0).max().unwrap_or(value.0));
        let mut from = unit_of(value.0);
        let overwriter = graph.iter().find(|(_, node)| node.op.in_place().map(|i| node.inputs[i]) == Some(value));
        if let Op::Leaf(_) = node.op {
            from = 0; // written before the run
        }
        let leaf = |value: Value| matches!(graph.node(value).op, Op::Leaf(_));
        let update = node.op.in_place().is_some_and(|index| leaf(node.inputs[index]));
        if (leaf(value) && overwriter.is_none()) || update || graph.outputs.iter().any(|(_, out)| *out == value) {
            to = usize::MAX; // read after the run, or in the next one
        }
        all.push(Life { slot: assignment.slot_of[value.0], from, to, value: Some(value) });
        let until = lasting.iter().find(|(of, _)| *of == value).map_or(value, |(_, until)| *until);
        for &slot in &assignment.scratch_of[value.0] {
            all.push(Life { slot, from: unit_of(value.0), to: unit_of(until.0), value: None });
        }
    }
    all
}

fn check_slots(graph: &Graph, caps: &Caps) -> usize {
    let plan = lower(graph, caps).unwrap();
    let Together { ranges, lasting, assignment } = together(graph, caps);
    // A graph without a leaf for faults has a slot for them after all others.
    let (assigned, own) = plan.slots.split_at(assignment.slots.len());
    assert_eq!(assignment.slots, assigned);
    let fault = plan.port(FAULT).map(|port| port.place.slot);
    assert!(own.is_empty() || (own.len() == 1 && fault == Some(assigned.len())));
    let lives = lives(graph, &ranges, &lasting, &assignment);
    for (i, a) in lives.iter().enumerate() {
        for b in &lives[..i] {
            if a.slot != b.slot || a.from > b.to || b.from > a.to {
                continue;
            }
            // Only an update may share the slot of the value that it overwrites, or that this one
            // overwrote.
            let overwritten = |value: &Value| graph.node(*value).op.in_place().map(|i| graph.node(*value).inputs[i]);
            let updates = |new: &Life, old: &Life| {
                std::iter::successors(new.value, overwritten).skip(1).any(|value| Some(value) == old.value)
            };
            let shared = updates(a, b) || updates(b, a);
            assert!(shared, "slot {}: {:?} and {:?} live at the same time", a.slot, a.value, b.value);
        }
    }
    check_lowered(graph, &plan, &assignment, caps);
    lives.len() - plan.slots.len()
}

/// Compares places, bindings, uniforms and free slots of a plan with graph and assignment.
fn check_lowered(graph: &Graph, plan: &Plan, assignment: &Assignment, caps: &Caps) {
    let mut last_reader: Vec<usize> = (0..graph.nodes().len()).collect();
    for (value, node) in graph.iter() {
        node.inputs.iter().for_each(|input| last_reader[input.0] = value.0);
    }
    for (planned, (value, node)) in plan.nodes.iter().zip(graph.iter()) {
        assert_eq!((planned.value, &planned.op), (value, &node.op));
        let slots: Vec<_> = planned.inputs.iter().chain([&planned.output]).map(|place| place.slot).collect();
        let values: Vec<_> = node.inputs.iter().chain([&value]).map(|v| assignment.slot_of[v.0]).collect();
        assert_eq!(slots, values);
        assert!(plan.slots[planned.output.slot].words >= node.ty.words());
        if let Some(index) = node.op.in_place() {
            assert_eq!(planned.output.slot, planned.inputs[index].slot, "{value} is not in place");
        }
        for slot in &planned.frees {
            let alive = graph.iter().find(|(other, _)| {
                assignment.slot_of[other.0] == *slot && *other <= value && last_reader[other.0] > value.0
            });
            assert!(alive.is_none(), "{value} frees slot {slot} of {:?}", alive.map(|(v, _)| v));
            assert_eq!(plan.slots[*slot].lifetime, Lifetime::Transient, "{value} frees slot {slot}");
        }
    }
    for step in &plan.steps {
        let kernel = &plan.kernels[step.kernel];
        for (i, (binding, &(slot, words))) in kernel.bindings.iter().zip(&step.bindings).enumerate() {
            assert!(words <= plan.slots[slot].words, "{}, {}", kernel.label, binding.name);
            let twice = step
                .bindings
                .iter()
                .zip(&kernel.bindings)
                .enumerate()
                .any(|(j, (&(other, _), with))| i != j && slot == other && (binding.write || with.write));
            assert!(!twice, "{}: slot {slot} is bound twice and written", kernel.label);
        }
        let words = kernel.uniform().count().next_multiple_of(4);
        match step.uniform {
            None => assert_eq!(kernel.uniform().count(), 0, "{}", kernel.label),
            Some(offset) => {
                assert_eq!(offset as usize % caps.uniform_align_bytes, 0, "{}", kernel.label);
                assert!(offset as usize / 4 + words <= plan.uniforms.len(), "{}", kernel.label);
            }
        }
        assert!(step.groups.iter().all(|&groups| groups > 0 && groups as usize <= caps.max_groups));
    }
    let bytes =
        |lifetime| plan.slots.iter().filter(move |slot| slot.lifetime == lifetime).map(|slot| 4 * slot.words as u64);
    let [state, ports, transient] =
        [Lifetime::State, Lifetime::Port, Lifetime::Transient].map(|lifetime| bytes(lifetime).sum::<u64>());
    let memory = &plan.memory;
    assert_eq!([memory.state, memory.ports, memory.transient], [state, ports, transient]);
    assert_eq!(memory.peak, state + ports + transient);
}

#[test]
fn living_values_never_share_a_slot() {
    let (mut shared, mut nodes) = (0, 0);
    for class in [DeviceClass::Gpu, DeviceClass::Software] {
        let caps = Caps::baseline(class);
        for number in 0..RANDOM_GRAPHS {
            let graph = random_graph(number);
            nodes += graph.nodes().len();
            shared += check_slots(&graph, &caps);
        }
        for model in [digits(), digits_hwgq(), residual()] {
            let graph = training(&model, 8, true).unwrap();
            shared += check_slots(&graph, &caps) + check_slots(&arrange(&graph, &caps).unwrap(), &caps);
            shared += check_slots(&pass::inference(&model, 8).unwrap(), &caps);
            shared += check_slots(&pass::evaluation(&model, 8, true, &Loss::default()).unwrap(), &caps);
        }
    }
    println!("{nodes} nodes of random graphs; {shared} values lie where others lay before");
    assert!(shared > nodes / 4, "few slots are shared: the check covers nothing");
}

#[test]
fn random_graphs_hold_every_operation() {
    let mut seen: std::collections::BTreeSet<_> = (0..RANDOM_GRAPHS)
        .flat_map(|number| random_graph(number).nodes().iter().map(|node| node.op.stem()).collect::<Vec<_>>())
        .collect();
    // In the recipes' graphs.
    let losses = ["softmax_cross_entropy", "softmax_cross_entropy_backward", "class_loss", "class_loss_backward"];
    // In graphs of exported networks: `tests/export.rs` runs them.
    let exported = ["threshold"];
    seen.extend(losses.into_iter().chain(["evaluation_record"]).chain(exported));
    let all = halfwave::ops::samples().into_iter().map(|sample| sample.op.stem()).chain(["leaf"]).collect();
    assert_eq!(seen, all);
}

/// Runs the plan of a graph, in the order with fewer launches, `steps` times and compares every
/// output and all state with the evaluation without a plan, bit for bit.
fn check_run(graph: &Graph, seed: u64, steps: usize) {
    let mut leaves = evaluate::start(graph, &mut Noise::new(seed));
    let mut backend = CpuBackend::new();
    let caps = backend.caps().clone();
    let plan = lower(&arrange(graph, &caps).unwrap(), &caps).unwrap();
    let id = pollster::block_on(backend.load(plan.clone())).unwrap();
    for port in plan.inputs.iter().chain(&plan.state).filter(|port| leaves.contains_key(&port.name)) {
        backend.write(id, &port.name, &leaves[&port.name].words);
    }
    for step in 0..steps {
        backend.run(id).unwrap();
        let values = evaluate(graph, &leaves);
        for (name, value) in &graph.outputs {
            let got = pollster::block_on(backend.read(id, name)).unwrap();
            assert!(got == values[value.0].words, "graph {seed}, step {step}: the output {name} differs");
        }
        for (value, node) in graph.iter() {
            if let Some(index) = node.op.in_place() {
                // State may be updated twice: the last update is kept.
                let mut state = graph.node(node.inputs[index]);
                while let Some(index) = state.op.in_place() {
                    state = graph.node(state.inputs[index]);
                }
                leaves.insert(leaf_name(state).unwrap().to_string(), values[value.0].clone());
            }
        }
        for port in plan.state.iter().filter(|port| leaves.contains_key(&port.name)) {
            let got = pollster::block_on(backend.read(id, &port.name)).unwrap();
            assert!(got == leaves[&port.name].words, "graph {seed}, step {step}: the state {} differs", port.name);
        }
    }
}

#[test]
fn planned_runs_of_random_graphs_equal_unplanned_ones() {
    if !cfg!(debug_assertions) {
        eprintln!("freed slots are poisoned in debug builds only: this run shows less");
    }
    (0..RANDOM_GRAPHS).for_each(|number| check_run(&random_graph(number), number, 2));
}

#[test]
fn planned_training_equals_unplanned_training() {
    for (seed, model) in [digits(), digits_hwgq(), residual()].iter().enumerate() {
        check_run(&training(model, 6, true).unwrap(), seed as u64, 3);
        check_run(&pass::inference(model, 6).unwrap(), seed as u64, 1);
        check_run(&pass::evaluation(model, 6, seed > 0, &Loss::SquaredHinge).unwrap(), seed as u64, 2);
    }
    let moments = Moments::default();
    let bop: Rule = Bop { moments, gamma: 0.5, threshold: 0.01 }.into();
    for (loss, rule) in [(Loss::SquaredError, AdamW(moments).into()), (Loss::SquaredHinge, bop)] {
        let optimizer = Optimizer { clip_norm: Some(1.0), ..Optimizer::new(1e-3, rule) };
        check_run(&pass::training(&digits(), 6, &ImageInput::Floats, &loss, &optimizer, true).unwrap(), 9, 3);
    }
}

fn refusal(graph: &Graph, caps: &Caps) -> String {
    match lower(graph, caps) {
        Err(halfwave::Error::Memory(message)) => message,
        other => panic!("not refused as a limit of the device: {:?}", other.map(|plan| plan.to_string())),
    }
}

#[test]
fn a_tensor_above_the_limits_is_an_error_that_names_it() {
    let baseline = Caps::baseline(DeviceClass::Gpu);
    let mut graph = Graph::new();
    graph.at("input", Phase::Forward);
    // 3 channels are stored in 4 lanes.
    let images = graph.add(Leaf::input("images", TensorType::f32(&[2, 10, 10, 3])), &[]).unwrap();
    let caps = Caps { max_binding_bytes: 3199, ..baseline.clone() };
    let message = refusal(&graph, &caps);
    assert!(
        ["images", "f32[2×10×10×3]", "3200 bytes", "3199 bytes"].iter().all(|part| message.contains(part)),
        "{message}"
    );
    let exact = Caps { max_binding_bytes: 3200, max_buffer_bytes: 3200, ..baseline.clone() };
    assert!(lower(&graph, &exact).is_ok());
    let caps = Caps { max_buffer_bytes: 3000, ..baseline.clone() };
    assert!(refusal(&graph, &caps).contains("3000 bytes"));

    graph.at("conv7", Phase::Forward);
    let leaf =
        Leaf { name: "conv7.weight".into(), ty: TensorType::f32(&[1, 1, 4, 8]), role: Role::State { trained: true } };
    let weight = graph.add(leaf, &[]).unwrap();
    graph.add(Conv { window: Window::square(1, 1, 0) }, &[images, weight]).unwrap();
    let message = refusal(&graph, &exact);
    assert!(
        ["conv", "\"conv7\"", "f32[2×10×10×8]", "6400 bytes", "3200 bytes"].iter().all(|part| message.contains(part)),
        "{message}"
    );

    // A whole model at a batch size that no baseline device can bind: the message names the layer,
    // and what would help.
    let vgg = model(include_str!("../assets/recipes/vgg-small.toml"));
    let message = refusal(&training(&vgg, 4096, false).unwrap(), &baseline);
    assert!(message.contains("134217728 bytes at once; use a smaller batch"), "{message}");
    assert!(message.contains("memory = \"low\"") && message.contains("accumulate ="), "{message}");
    let caps = Caps { max_groups: 1, ..baseline };
    let message = refusal(&pass::inference(&digits(), 64).unwrap(), &caps);
    assert!(message.contains("workgroups") && message.contains("alpha of layer \"conv2\""), "{message}");
}

/// Layers between images and classes, in a recipe's format, on 8 × 8 images.
fn digits_with(layers: &str) -> Model {
    let text = format!("model = {{ input = [1, 8, 8], classes = 10, layers = [\n{layers}\n] }}\n");
    let rest = "data = { set = \"digits\" }\n[train]\nbatch = 8\nsteps = 1\noptimizer = { kind = \"sgd\", lr = 0.1 }\n";
    model(&(text + rest))
}

#[test]
fn a_linear_layer_pays_nothing_for_a_flatten() {
    let caps = Caps::baseline(DeviceClass::Gpu);
    let conv = "{ name = \"conv1\", kind = \"conv\", filters = 6, kernel = 3 },";
    let flat = "{ name = \"flat\", kind = \"flatten\" },";
    for (before, fc) in [
        ("", "{ name = \"fc\", kind = \"linear\", units = 10 },"),
        (
            "{ name = \"q\", kind = \"hwgq\" },",
            "{ name = \"fc\", kind = \"linear\", units = 10, weights = \"binary\" },",
        ),
    ] {
        let [with, without] = [flat, ""].map(|flat| digits_with(&format!("{conv}{before}{flat}{fc}")));
        let [a, b] = [&with, &without].map(|model| lower(&training(model, 8, false).unwrap(), &caps).unwrap());
        assert_eq!((a.to_string(), a.hash()), (b.to_string(), b.hash()));
    }
}

#[test]
fn groups_of_a_packed_convolution_stay_exact() {
    let layers = "{ name = \"conv1\", kind = \"conv\", filters = 6, kernel = 3 }, { name = \"q\", kind = \"hwgq\" },
        { name = \"grouped\", kind = \"conv\", filters = 9, kernel = 3, groups = 3, weights = \"binary\" },
        { name = \"pool\", kind = \"max_pool\", kernel = 2 }, { name = \"bn\", kind = \"batch_norm\" },
        { name = \"fc\", kind = \"linear\", units = 10 }";
    let mut graph = training(&digits_with(layers), 8, false).unwrap();
    let of = |graph: &Graph, layer: &str, stem: &str| -> Vec<Encoding> {
        let nodes = graph.nodes().iter().filter(|node| (node.layer.as_str(), node.op.stem()) == (layer, stem));
        nodes.map(|node| node.ty.encoding).collect()
    };
    assert_eq!(of(&graph, "grouped", "bconv"), [Encoding::I16; 3]);
    assert_eq!(of(&graph, "pool", "max_pool"), [Encoding::I16]);
    assert_eq!(of(&graph, "grouped", "decode"), []);
    // The gradients of the parts are concatenated, without additions of zeros.
    assert_eq!(of(&graph, "grouped", "slice_backward"), []);
    // Only the whole gradient is exposed, once.
    halfwave::train::inspect::expose(&mut graph);
    let exposed: Vec<_> = graph.outputs.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["grouped/sign", "q/quantise", "grouped/concat", "pool/max_pool", "pool/max_pool_argmax"];
    assert_eq!(exposed, expected.map(|name| format!("exact/{name}")));
}

#[test]
fn binary_convolutions_save_codes_and_small_integers() {
    let graph = training(&digits_hwgq(), 64, false).unwrap();
    let plan = lower(&graph, &Caps::baseline(DeviceClass::Gpu)).unwrap();
    let convolutions: Vec<_> = plan.nodes.iter().filter(|node| node.op.stem() == "bconv").collect();
    assert_eq!(convolutions.len(), 2);
    for node in convolutions {
        assert_eq!(node.inputs[0].ty.encoding, Encoding::Planes(2), "{}", node.layer);
        assert_eq!(node.output.ty.encoding, Encoding::I16, "{}", node.layer);
    }
    // 2 bytes instead of 4; for sums before a pool, the pooled values and their positions are kept.
    let saved: Vec<_> = plan.memory.saved.iter().map(|saved| (saved.layer.as_str(), saved.stem, saved)).collect();
    let sums = saved.iter().filter(|(_, _, saved)| saved.ty.encoding == Encoding::I16);
    let named: Vec<_> = sums.clone().map(|(layer, stem, _)| (*layer, *stem)).collect();
    assert_eq!(named, [("pool2", "max_pool"), ("conv3", "bconv")]);
    assert!(sums.clone().all(|(_, _, saved)| saved.f32_bytes() == 2 * saved.bytes()));
    let argmax = saved.iter().find(|(layer, stem, _)| (*layer, *stem) == ("pool2", "max_pool_argmax")).unwrap();
    assert_eq!(argmax.2.ty.encoding, Encoding::Planes(2));
    let codes: Vec<_> = plan.memory.saved.iter().filter(|saved| saved.stem == "quantise").collect();
    assert_eq!(codes.iter().map(|saved| saved.layer.as_str()).collect::<Vec<_>>(), ["q1", "q2"]);
    for saved in codes {
        assert_eq!(saved.ty.encoding, Encoding::Planes(2));
        assert!(saved.f32_bytes() >= 8 * saved.bytes(), "{}: {} of {}", saved.layer, saved.bytes(), saved.f32_bytes());
    }
    // No output of a batch-norm is kept: its readers fold it.
    assert!(plan.memory.saved.iter().all(|saved| saved.stem != "batch_norm"), "{:?}", plan.memory.saved);
    assert!(plan.memory.peak < plan.memory.peak_f32);
    let (kept, float): (u64, u64) =
        plan.memory.saved.iter().fold((0, 0), |(a, b), s| (a + s.bytes(), b + s.f32_bytes()));
    println!("saved {kept} bytes, {float} in f32; peak {} bytes, {} in f32", plan.memory.peak, plan.memory.peak_f32);
    assert!(kept < float);
}
