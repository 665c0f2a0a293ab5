//! The update of many parameters in few launches: bit-identical to one launch per node, with faults
//! that name the right layer.
#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code)] // the evaluation of a graph, which is not needed here
#[path = "gradient/evaluate.rs"]
mod evaluate;

use halfwave::backend::{Backend, gpu::GpuBackend};
use halfwave::caps::{Caps, DeviceClass};
use halfwave::graph::{Phase, Value};
use halfwave::kernel::{FAULT, MOST_BUFFERS};
use halfwave::model::Role;
use halfwave::ops::sample::Noise;
use halfwave::ops::{self, Graph, Leaf, row::Row};
use halfwave::pass::{self, Group, ImageInput, Optimizer, Rule};
use halfwave::plan::{Plan, arrange, lower};
use halfwave::recipe::{Recipe, builtin};
use halfwave::tensor::{Encoding, LANES, Tensor, TensorType};
use pollster::block_on;
use std::collections::{BTreeMap, HashMap};

/// Weights that flip, that are clipped and that are neither, of which the first is larger than a
/// workgroup; biases; γ and β.
const LEAVES: [(&str, &[usize]); 9] = [
    ("a.weight", &[3, 3, 8, 41]),
    ("b.weight", &[1, 2, 4, 5]),
    ("c.weight", &[1, 1, 64, 64]),
    ("c.bias", &[64]),
    ("bn.weight", &[70]),
    ("bn.bias", &[70]),
    ("d.weight", &[1, 1, 4, 4]),
    ("d.bias", &[1]),
    ("e.step", &[1]),
];

fn role(leaf: &str) -> Role {
    match leaf {
        "a.weight" | "d.weight" => Role::Weight { binary: true, clipped: false },
        "b.weight" => Role::Weight { binary: false, clipped: true },
        "c.weight" => Role::Weight { binary: false, clipped: false },
        _ => Role::Trained,
    }
}

fn optimizers() -> Vec<Optimizer> {
    let group = Group { pattern: "c.*".into(), lr_scale: 0.5, weight_decay: Some(0.125) };
    let with = |rule| Optimizer { weight_decay: 0.03, groups: vec![group.clone()], ..Optimizer::new(0.1, rule) };
    let mut all: Vec<_> = Rule::examples().into_iter().map(with).collect();
    all.push(Optimizer { clip_norm: Some(0.5), ..all[0].clone() });
    all
}

/// The update only. Gradients are leaves; those of γ and β are the rows of one.
fn graph(optimizer: &Optimizer) -> Graph {
    let mut graph = Graph::new();
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    let mut sums = None;
    for (name, shape) in LEAVES {
        graph.at(name.split('.').next().unwrap(), Phase::Backward);
        let ty = TensorType::f32(shape);
        let role = ops::Role::State { trained: true };
        let leaf = graph.add(Leaf { name: name.into(), ty: ty.clone(), role }, &[]).unwrap();
        let gradient = if name.starts_with("bn.") {
            let sums = *sums.get_or_insert_with(|| {
                graph.add(Leaf::input("grad/bn", TensorType::f32(&[2, shape[0]])), &[]).unwrap()
            });
            graph.add(Row { index: usize::from(name == "bn.bias") }, &[sums]).unwrap()
        } else {
            graph.add(Leaf::input(&format!("grad/{name}"), ty), &[]).unwrap()
        };
        pairs.push((leaf, gradient));
    }
    pass::update(&mut graph, &pairs, optimizer, role).unwrap();
    graph.verify();
    pass::simplify(&graph).unwrap()
}

/// The number of dispatches and of nodes of the update, without those of the gradients' norm.
fn counts(plan: &Plan) -> [usize; 2] {
    const OTHERS: [&str; 2] = ["square_sum", "clip_scale"];
    let nodes = || plan.nodes.iter().filter(|node| node.phase == Phase::Update && !node.steps.is_empty());
    let nodes = || nodes().filter(|node| !OTHERS.contains(&node.op.stem()));
    let mut steps: Vec<_> = nodes().flat_map(|node| node.steps.clone()).collect();
    steps.dedup();
    [steps.len(), nodes().count()]
}

/// All state after some steps, and the fault word; `spoilt` is a gradient that contains a NaN.
async fn run(
    backend: &mut dyn Backend,
    plan: Plan,
    optimizer: &Optimizer,
    spoilt: &str,
) -> (BTreeMap<String, Vec<u32>>, u32) {
    let (inputs, state) = (plan.inputs.clone(), plan.state.clone());
    let id = backend.load(plan).await.unwrap();
    let mut noise = Noise::new(7);
    for port in state.iter().filter(|port| port.name != FAULT) {
        let ty = &port.place.ty;
        let start = if port.name.starts_with("moment2/") { noise.positive(&ty.shape) } else { noise.floats(&ty.shape) };
        backend.write(id, &port.name, &start.words);
    }
    backend.write(id, FAULT, &[0; LANES]);
    for step in 0..3 {
        for port in inputs.iter().filter(|port| port.name.starts_with("grad/")) {
            let mut gradient = noise.floats(&port.place.ty.shape);
            if port.name == spoilt {
                gradient.words[0] = f32::NAN.to_bits();
            }
            backend.write(id, &port.name, &gradient.words);
        }
        let rates = optimizer.rates(0.1, step + 1);
        backend.write(id, "rates", &Tensor::from_f32(&[4], &rates).words);
        backend.run(id).unwrap();
    }
    let mut all = BTreeMap::new();
    for port in state.iter().filter(|port| port.name != FAULT) {
        all.insert(port.name.clone(), backend.read(id, &port.name).await.unwrap());
    }
    (all, backend.read(id, FAULT).await.unwrap()[0])
}

fn open() -> Option<GpuBackend> {
    Some(block_on(GpuBackend::open(common::adapter()?, None)).unwrap())
}

#[test]
fn few_launches_update_as_many_do() {
    common::on_each_driver("few_launches_update_as_many_do", || {
        for optimizer in optimizers() {
            let graph = graph(&optimizer);
            let Some(mut together) = open() else { return };
            let merged = lower(&graph, &together.caps().clone()).unwrap();
            let single = lower(&graph, &Caps { max_buffers: 0, ..together.caps().clone() }).unwrap();
            let [launches, nodes] = counts(&merged);
            assert_eq!(counts(&single), [nodes, nodes], "the other plan merges nothing");
            println!("{:?}: {nodes} nodes in {launches} launches", optimizer.rule);
            let (got, fault) = block_on(run(&mut together, merged, &optimizer, ""));
            let (expected, of_single) = block_on(run(&mut open().unwrap(), single, &optimizer, ""));
            assert_eq!((fault, of_single), (0, 0));
            assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            for (name, words) in &got {
                assert!(*words == expected[name], "{optimizer:?}: {name} differs");
            }
        }
    });
}

#[test]
fn a_fault_names_the_layer_whose_update_met_it() {
    common::on_each_driver("a_fault_names_the_layer_whose_update_met_it", || {
        let optimizers = optimizers();
        // Clipping by the norm spoils every gradient.
        for optimizer in &optimizers[..optimizers.len() - 1] {
            for (name, _) in LEAVES {
                let layer = name.split('.').next().unwrap();
                let spoilt = if layer == "bn" { "grad/bn".to_string() } else { format!("grad/{name}") };
                let Some(mut backend) = open() else { return };
                let plan = lower(&graph(optimizer), &backend.caps().clone()).unwrap();
                let (_, fault) = block_on(run(&mut backend, plan.clone(), optimizer, &spoilt));
                assert_eq!(plan.faulty(fault).map(|node| &*node.layer), Some(layer), "{:?}, {name}", optimizer.rule);
            }
        }
    });
}

/// All state and outputs of a plan after a step from the same leaves.
async fn step(backend: &mut dyn Backend, plan: Plan, leaves: &HashMap<String, Tensor>) -> BTreeMap<String, Vec<u32>> {
    let ports: Vec<_> = plan.inputs.iter().chain(&plan.state).map(|port| port.name.clone()).collect();
    let results: Vec<_> = plan.outputs.iter().chain(&plan.state).map(|port| port.name.clone()).collect();
    let id = backend.load(plan).await.unwrap();
    ports.iter().for_each(|name| backend.write(id, name, &leaves[name].words));
    backend.run(id).unwrap();
    let mut all = BTreeMap::new();
    for name in results {
        let words = backend.read(id, &name).await.unwrap();
        all.insert(name, words);
    }
    all
}

/// Reductions, packing and updates run side by side then, in every combination that occurs in a
/// step.
#[test]
fn a_step_in_few_launches_is_one_in_many() {
    common::on_each_driver("a_step_in_few_launches_is_one_in_many", || {
        if common::adapter().is_none() {
            return;
        }
        let recipe = Recipe::parse(builtin("digits").unwrap(), "digits").unwrap();
        let (optimizer, loss) = (&optimizers()[0], &recipe.train.loss);
        let graph = pass::training(&recipe.model, 7, &ImageInput::Floats, loss, optimizer, true).unwrap();
        let leaves = evaluate::start(&graph, &mut Noise::new(3));
        // The kernels for GPUs within WebGPU's limits, the others with all that a driver supports.
        for (class, most) in [(DeviceClass::Gpu, 8), (DeviceClass::Software, MOST_BUFFERS)] {
            let [(single, expected), (merged, got)] = [0, most].map(|max_buffers| {
                let mut backend = open().unwrap();
                let max_buffers = max_buffers.min(backend.caps().max_buffers);
                let caps = Caps { max_buffers, class, ..backend.caps().clone() };
                let plan = lower(&arrange(&graph, &caps).unwrap(), &caps).unwrap();
                (plan.steps.len(), block_on(step(&mut backend, plan, &leaves)))
            });
            println!("{class:?}: {single} launches, {merged} where they are merged");
            assert!(3 * merged < 2 * single);
            assert_eq!(expected[FAULT][0], 0);
            for (name, words) in &got {
                assert!(*words == expected[name], "{class:?}: {name} differs");
            }
        }
    });
}

#[test]
fn launches_are_as_few_as_buffers_allow() {
    let launches = |optimizer: &Optimizer, max_buffers| {
        let caps = Caps { max_buffers, ..Caps::baseline(DeviceClass::Gpu) };
        let plan = lower(&graph(optimizer), &caps).unwrap();
        for step in &plan.steps {
            assert!(plan.kernels[step.kernel].storage_buffers() <= caps.max_buffers.max(8));
            let kernel = &plan.kernels[step.kernel];
            assert!(kernel.bindings.iter().all(|binding| binding.is_fault() || binding.encoding == Encoding::F32));
        }
        counts(&plan)
    };
    for optimizer in optimizers() {
        let counts = [0, 8, 10, 16, MOST_BUFFERS, 1000].map(|buffers| launches(&optimizer, buffers));
        println!("{:?}: {counts:?}", optimizer.rule);
        assert!(counts.windows(2).all(|pair| pair[1][0] <= pair[0][0]) && counts[5] == counts[4]);
    }
    // The fault word is bound once, and the rates are a uniform. Each parameter has weight,
    // velocity and gradient; γ and β have one tensor for both gradients: 27 storage buffers in
    // total.
    // Adam has two moments.
    let all = optimizers();
    let named = |name: &str| all.iter().find(|optimizer| optimizer.name() == name).unwrap();
    let (sgd, adam) = (named("sgd"), named("adam"));
    assert_eq!([8, 16, 24].map(|buffers| launches(sgd, buffers)), [[5, 21], [2, 21], [2, 21]]);
    assert_eq!([8, 24].map(|buffers| launches(adam, buffers)), [[8, 30], [2, 30]]);
}
