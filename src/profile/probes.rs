//! Probe kernels: each executes one kind of operation as fast as the device can, a known number of
//! times.
//!
//! A probe is a plan of one launch on separate state: `work` is the amount of work, `x` contains
//! operands, `y` receives the result. The amount is data and not part of the source, so that a
//! compiler can derive neither the number of rounds nor whether the result is used.
//!
//! **Invariant:** [`Probe::amount`] counts what is executed: tests check that the results are those
//! of the counted operations.

use crate::caps::{Caps, Coop};
use crate::kernel::{Cost, Kernel, Launch, Operand};
use crate::plan::{Lifetime, Memory, Place, Plan, Port, Slot, Step};
use crate::tensor::{Encoding, TensorType};

/// Workgroup size, except for matrices: the number of invocations that every device supports.
pub const THREADS: usize = 256;
/// Words of the port `work`.
pub const WORK_WORDS: usize = 8;
/// A value that a probe's float result never takes, because results are sums of positive numbers.
const NEVER: f32 = -1.0;
/// Independent sums and unrolled steps of the multiply-add probes: 12 sums hide a latency of 4
/// cycles on two units, and fit into 16 vector registers.
const FMA: [usize; 2] = [3, 8];
/// The same for and + popcount.
const BIT: [usize; 2] = [2, 8];
/// The same for packed dot products, whose sums have one lane.
const DOT: [usize; 2] = [12, 8];
/// Number of matrices of a and of b, with one sum for each product of a pair, and unrolled steps of
/// the probe of cooperative matrices.
const MATRICES: [usize; 3] = [4, 2, 8];
/// Subgroups per workgroup of that probe, as in the kernels for products.
const SUBGROUPS: usize = 4;
/// `vec4`s of workgroup memory, and steps of four reads each.
const TILE: usize = 512;
const READS: usize = 2;
/// `vec4`s that each invocation of a copy has in flight.
const COPIES: usize = 4;

/// The operation that a probe repeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// Copying one half of a buffer of this many bytes to the other; a power of two, at least 32.
    Copy(u64),
    /// Multiply-adds in f32.
    Float,
    /// Multiply-adds in f16.
    Half,
    /// And + popcount + add.
    Bit,
    /// `dot4I8Packed` + add.
    Dot,
    /// Products of cooperative matrices of half floats, accumulated in f32.
    Matrix(Coop),
    /// Reading workgroup memory.
    Workgroup,
    /// Nothing: each round is a dispatch.
    Launch,
}

impl Probe {
    /// One probe of each kind.
    pub const ALL: [Self; 8] = [
        Self::Copy(1 << 20),
        Self::Float,
        Self::Half,
        Self::Bit,
        Self::Dot,
        Self::Matrix(Coop { size: 16, subgroup: 32, emulated: false }),
        Self::Workgroup,
        Self::Launch,
    ];

    /// Returns whether a device supports the probe: it may need half floats, native cooperative
    /// matrices, or large buffers.
    pub fn offered(self, caps: &Caps) -> bool {
        match self {
            Self::Copy(bytes) => bytes / 2 <= caps.max_binding_bytes.min(caps.max_buffer_bytes),
            Self::Half => caps.f16,
            Self::Matrix(coop) => caps.coop == Some(coop) && !coop.emulated,
            _ => true,
        }
    }

    /// Returns the kernel.
    pub fn kernel(self) -> Kernel {
        let launch = |label: &str, body, operands| {
            let launch = Launch::new(label, &[body]).workgroup(self.threads());
            let launch = launch.read("work", Encoding::U32, Operand::Input(0));
            let launch = match self {
                Self::Launch => launch,
                _ => launch.read("x", operands, Operand::Input(1)),
            };
            launch.write("y", operands, Operand::Output)
        };
        let steps =
            |launch: Launch, [chains, steps]: [usize; 2]| launch.constant("CHAINS", chains).constant("STEPS", steps);
        let fma = include_str!("../../shaders/probe_fma.wgsl");
        let launch = match self {
            Self::Copy(_) => {
                let copy = launch("probe_copy", include_str!("../../shaders/probe_copy.wgsl"), Encoding::F32);
                copy.constant("STEPS", COPIES)
            }
            Self::Float => steps(launch("probe_float", fma, Encoding::F32), FMA).constant("HALF", 0),
            Self::Half => steps(launch("probe_half", fma, Encoding::F32), FMA).constant("HALF", 1).f16(),
            Self::Bit => steps(launch("probe_bit", include_str!("../../shaders/probe_bit.wgsl"), Encoding::U32), BIT),
            Self::Dot => steps(launch("probe_dot", include_str!("../../shaders/probe_dot.wgsl"), Encoding::U32), DOT),
            Self::Matrix(Coop { size, subgroup, .. }) => {
                let [m, n, steps] = MATRICES;
                let mut launch = launch("probe_matrix", "", Encoding::F32)
                    .constant("SIZE", size)
                    .constant("SUBGROUP", subgroup)
                    .constant("FM", m)
                    .constant("FN", n)
                    .constant("STEPS", steps)
                    .constant("ITEMS", (size * size / 4).div_ceil(subgroup))
                    .coop();
                let (text, matrix) =
                    (include_str!("../../shaders/probe_matrix.wgsl"), format!("coop_mat{size}x{size}"));
                launch.kernel.body = vec![text.replace("MATRIX", &matrix).into()];
                launch
            }
            Self::Workgroup => {
                let body = include_str!("../../shaders/probe_workgroup.wgsl");
                launch("probe_workgroup", body, Encoding::F32).constant("TILE", TILE).constant("STEPS", READS)
            }
            Self::Launch => launch("probe_launch", include_str!("../../shaders/probe_launch.wgsl"), Encoding::U32),
        };
        launch.kernel
    }

    /// Returns the workgroup size.
    fn threads(self) -> usize {
        if let Self::Matrix(coop) = self { SUBGROUPS * coop.subgroup } else { THREADS }
    }

    /// Returns the bytes or operations of a launch of `groups` workgroups with `rounds` rounds; for
    /// the launch probe, `rounds`.
    pub fn amount(self, groups: u32, rounds: u32) -> u64 {
        let each = match self {
            Self::Copy(_) => COPIES * 2 * 16,
            Self::Float | Self::Half => FMA[0] * FMA[1] * 4 * 2,
            Self::Bit => BIT[0] * BIT[1] * 4 * 64,
            Self::Dot => DOT[0] * DOT[1] * 8,
            Self::Workgroup => READS * 4 * 16,
            // A subgroup, of any size, computes each product together.
            Self::Matrix(Coop { size, .. }) => {
                let products = SUBGROUPS * MATRICES.iter().product::<usize>();
                return u64::from(groups) * u64::from(rounds) * (products * size.pow(3) * 2) as u64;
            }
            Self::Launch => return u64::from(rounds),
        };
        u64::from(groups) * u64::from(rounds) * (THREADS * each) as u64
    }

    /// Returns the words of `work` for `rounds` rounds whose result is not stored, except by
    /// copies, which start at the `vec4` `begin`.
    pub fn work(self, rounds: u32, begin: u32) -> [u32; WORK_WORDS] {
        let float = |value: f32| value.to_bits();
        let (head, operands) = match self {
            Self::Copy(bytes) => ([rounds, (bytes / 32 - 1) as u32, begin], [0; 2]),
            // The sums converge to 2 from any initial value.
            Self::Float | Self::Half => ([rounds, 0, float(NEVER)], [float(0.75), float(0.5)]),
            Self::Bit => ([rounds, 0, u32::MAX], [0; 2]),
            Self::Dot => ([rounds, 0, u32::MAX], [0x7f03_81fd, 0]),
            Self::Matrix(_) | Self::Workgroup => ([rounds, 0, float(NEVER)], [0; 2]),
            Self::Launch => ([0; 3], [0; 2]),
        };
        [head[0], head[1], head[2], 0, operands[0], operands[1], 0, 0]
    }

    /// Returns the words of `x` for measurements, or none if they do not matter.
    pub fn operands(self) -> Vec<u32> {
        let words = 0..self.words("x") as u32;
        match self {
            Self::Copy(_) | Self::Launch => Vec::new(),
            Self::Float | Self::Half | Self::Matrix(_) | Self::Workgroup => {
                words.map(|i| (1.0 + (i % 8) as f32).to_bits()).collect()
            }
            Self::Bit | Self::Dot => words.map(|i| i.wrapping_mul(0x9e37_79b9) ^ i >> 3).collect(),
        }
    }

    /// Returns the number of words of a port.
    pub fn words(self, port: &str) -> usize {
        match (self, port) {
            (_, "work") => WORK_WORDS,
            (Self::Copy(bytes), _) => (bytes / 8) as usize,
            (Self::Workgroup, "x") => 4 * TILE,
            (Self::Matrix(Coop { size, .. }), "x") => (MATRICES[0] + MATRICES[1]) * size * size,
            (Self::Matrix(Coop { size, .. }), _) => SUBGROUPS * size * size,
            _ => 4 * THREADS,
        }
    }

    /// Returns the full name of a port. State is shared between plans by name, and a probe shares
    /// it with no other plan.
    pub fn port(self, port: &str) -> String {
        match self {
            Self::Copy(bytes) => format!("probe_copy_{bytes}/{port}"),
            _ => format!("{}/{port}", self.kernel().label),
        }
    }

    /// Returns the probe as a plan of one launch with a power of two of workgroups.
    ///
    /// Its ports are state, so that plans with different numbers of workgroups share the memory.
    pub fn plan(self, caps: &Caps, groups: u32) -> Plan {
        let kernel = self.kernel();
        let ports = kernel.bindings.iter().enumerate().map(|(slot, binding)| {
            let ty = TensorType::new(&[self.words(binding.name)], binding.encoding);
            Port { name: self.port(binding.name), place: Place { slot, ty, scale: None } }
        });
        let state: Vec<_> = ports.collect();
        let lengths = state.iter().map(|port| port.place.ty.words());
        Plan {
            class: caps.class,
            slots: lengths.clone().map(|words| Slot { words, lifetime: Lifetime::State }).collect(),
            packing: None,
            steps: vec![Step {
                kernel: 0,
                bindings: lengths.enumerate().collect(),
                uniform: None,
                groups: [groups, 1],
                cost: Cost::default(),
            }],
            kernels: vec![kernel],
            nodes: Vec::new(),
            nested: false,
            behind: 0,
            uniforms: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            state,
            memory: Memory::default(),
        }
    }
}
