//! Profiles for JavaScript: the JSON written by `halfwave profile --json`, parsed.

use crate::data::from_js;
use crate::session::Session;
use crate::{Result, error::HalfwaveError, open};
use halfwave::profile::{Ceilings, Profile};
use serde::{Deserialize, Serialize};
use serde_wasm_bindgen::Serializer;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** A measured peak of a device. */
export interface Ceiling {
    /** Bytes or operations per second; nanoseconds for the launch overhead. */
    value: number;
    /** (p90 - p10) / median of its repetitions. */
    spread: number;
    /** Ratio of the times for twice the work and for the work: 2 if the measurement is sound. */
    doubling: number;
}

/** Measured peaks of a device. */
export interface Ceilings {
    /** Streaming copies, the smallest working set first. */
    copy: (Ceiling & { working_set_bytes: number })[];
    /** Float operations. */
    float: Ceiling;
    /** Half-float operations, if the device supports them. */
    half: Ceiling | null;
    /** Bit operations. */
    bit: Ceiling;
    /** 8-bit operations of packed dot products, if the device supports them. */
    dot: Ceiling | null;
    /** Half-float operations of cooperative matrices, if kernels can use them; only natively. */
    matrix: Ceiling | null;
    /** Reads of workgroup memory. */
    workgroup: Ceiling;
    /** An empty dispatch, in nanoseconds. */
    launch: Ceiling;
}

/** One dispatch of a training step. */
export interface Launch {
    step: number;
    stem: string;
    kernel: string;
    /** Empty if the launch belongs to no layer. */
    layer: string;
    phase: "forward" | "dx" | "dw" | "statistics" | "update" | "pack" | "data";
    reads: string[];
    writes: string;
    groups: [number, number];
    threads: number;
    /** Number of consecutive executions per measurement. */
    repeats: number;
    /** Null if the clock is too coarse to measure it: never zero. */
    median_ns: number | null;
    min_ns: number | null;
    p10_ns: number | null;
    p25_ns: number | null;
    p90_ns: number | null;
    bytes: number;
    float_ops: number;
    bit_ops: number;
    dot_ops: number;
    /** Operations of cooperative matrices: those above, times the number of products of half-precision parts. */
    matrix_ops: number;
    bound: "memory" | "arithmetic" | "bit_arithmetic" | "packed_dot" | "matrix_arithmetic" | "launch_overhead" | null;
    /** Time at this bound alone, divided by the measured time. */
    fraction_of_bound: number | null;
}

/** Lifetime of a tensor in a slot: from step `from` up to, but not including, step `to`. */
export interface Tenant {
    layer: string;
    stem: string;
    type: string;
    bytes: number;
    from: number;
    to: number;
}

/** Memory use of a step. */
export interface ProfileMemory {
    state_bytes: number;
    port_bytes: number;
    transient_bytes: number;
    peak_bytes: number;
    peak_f32_bytes: number;
    peak_step: number;
    alive_bytes: number;
    /** As reported by the backend's allocator; browsers do not report it. */
    allocator_bytes: number | null;
    saved: { layer: string; stem: string; type: string; bytes: number; f32_bytes: number }[];
    slots: { bytes: number; tenancy: "state" | "port" | "transient"; tenants: Tenant[] }[];
}

/** Time and memory of a training step. Durations are in nanoseconds. */
export interface Profile {
    format: "halfwave-profile";
    version: number;
    halfwave: string;
    recipe: string;
    batch: number;
    plan: string;
    device: { adapter: string; backend: string; driver: string; kind: string };
    /** Observed reliability of the device's timestamps, and the resolution of the clock that was used. */
    timer: { quality: "exact" | "quantised" | "zero" | "absent"; quantum_ns: number };
    ceilings: Ceilings | null;
    steps: number;
    /** An ordinary step, by the device's clock if that is usable. */
    step_ns: number;
    /** An ordinary step by the host's clock, several in flight. */
    wall_ns: number;
    /** A step with every launch timed, by the host's clock. */
    instrumented_ns: number;
    /** Sum of the launches' medians. */
    launches_ns: number;
    launches: Launch[];
    memory: ProfileMemory;
}
"#;

/// Options for profiling.
#[derive(Tsify, Deserialize)]
#[serde(default)]
pub struct ProfileOptions {
    /// Number of steps over which medians are taken; 10 by default.
    #[tsify(optional)]
    pub steps: usize,
    /// Name of the recipe in the profile.
    #[tsify(optional)]
    pub recipe: String,
    /// Measured peaks of the device, with which each launch is compared.
    #[tsify(optional, type = "Ceilings")]
    pub ceilings: Option<Ceilings>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self { steps: 10, recipe: "recipe".into(), ceilings: None }
    }
}

/// Limits the waiting time.
const MOST_STEPS: usize = 10_000;

#[wasm_bindgen]
impl Session {
    /// Measures a training step, launch by launch, without changing the run. `progress` is called
    /// with the number of measured steps.
    #[wasm_bindgen(unchecked_return_type = "Profile")]
    pub async fn profile(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "ProfileOptions")] options: Option<JsValue>,
        #[wasm_bindgen(unchecked_optional_param_type = "(steps: number) => void")] progress: Option<js_sys::Function>,
    ) -> Result<JsValue> {
        let options: ProfileOptions =
            options.map(|options| from_js(options, "options")).transpose()?.unwrap_or_default();
        if !(1..=MOST_STEPS).contains(&options.steps) {
            return Err(HalfwaveError::usage(format!("steps is 1 to {MOST_STEPS}, not {}", options.steps)));
        }
        let tell = |steps: usize| {
            if let Some(progress) = &progress {
                // Exceptions of the callback are ignored.
                let _ = progress.call1(&JsValue::NULL, &steps.into());
            }
        };
        let mut trainer = self.lock().await;
        let measured = trainer.session().measure(options.steps, tell).await?;
        let plan = trainer.session().plan();
        let profile =
            Profile::new(&options.recipe, self.recipe.train.micro_batch(), plan, self.device.clone(), &measured);
        Ok(json(&match options.ceilings {
            Some(ceilings) => profile.against(ceilings),
            None => profile,
        }))
    }
}

/// Measures the peaks of the GPU on a separate device, in some seconds: for
/// `ProfileOptions.ceilings`.
#[wasm_bindgen(unchecked_return_type = "Ceilings")]
pub async fn ceilings() -> Result<JsValue> {
    let mut backend = open(None).await?;
    Ok(json(&Ceilings::measure(&mut backend).await?))
}

/// Converts a value as JSON does: maps to objects, missing values to null.
fn json(value: &impl Serialize) -> JsValue {
    value.serialize(&Serializer::json_compatible()).expect("plain values can be serialised")
}
