//! Profiles as JavaScript has them: the JSON that `halfwave profile --json` writes, parsed.

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
/** A limit of a device, as measured on it. */
export interface Ceiling {
    /** Bytes or operations a second; for the launch overhead nanoseconds. */
    value: number;
    /** (p90 - p10) / median of its repetitions. */
    spread: number;
    /** Time of twice the work over time of the work: 2 where the measurement is sound. */
    doubling: number;
}

/** What a device can do at most. */
export interface Ceilings {
    /** Streaming copies, the smallest working set first. */
    copy: (Ceiling & { working_set_bytes: number })[];
    /** Float operations. */
    float: Ceiling;
    /** Half-float operations, where the device offers them. */
    half: Ceiling | null;
    /** Bit operations. */
    bit: Ceiling;
    /** 8-bit operations of packed dot products, where the device compiles them. */
    dot: Ceiling | null;
    /** Half-float operations of cooperative matrices, where kernels can use them; natively alone. */
    matrix: Ceiling | null;
    /** Workgroup memory read. */
    workgroup: Ceiling;
    /** A dispatch that does nothing, in nanoseconds. */
    launch: Ceiling;
}

/** One dispatch of a training step. */
export interface Launch {
    step: number;
    stem: string;
    kernel: string;
    /** Empty for what belongs to none. */
    layer: string;
    phase: "forward" | "dx" | "dw" | "statistics" | "update" | "pack" | "data";
    variant: string;
    tier: string;
    reads: string[];
    writes: string;
    groups: [number, number];
    threads: number;
    /** Times it was done on end for one measurement. */
    repeats: number;
    /** Nothing where the clock is too coarse to see it: never zero. */
    median_ns: number | null;
    min_ns: number | null;
    p10_ns: number | null;
    p25_ns: number | null;
    p90_ns: number | null;
    bytes: number;
    float_ops: number;
    bit_ops: number;
    dot_ops: number;
    /** Operations of cooperative matrices: those above, as many times as a number's halves make products. */
    matrix_ops: number;
    bound: "memory" | "arithmetic" | "bit_arithmetic" | "packed_dot" | "matrix_arithmetic" | "launch_overhead" | null;
    /** The time that this bound alone would take, of the time it took. */
    fraction_of_bound: number | null;
}

/** A tensor's stay in a slot, from a step up to the one before which it is dead. */
export interface Tenant {
    layer: string;
    stem: string;
    type: string;
    bytes: number;
    from: number;
    to: number;
}

/** The account of a step's memory. */
export interface ProfileMemory {
    state_bytes: number;
    port_bytes: number;
    transient_bytes: number;
    peak_bytes: number;
    peak_f32_bytes: number;
    peak_step: number;
    alive_bytes: number;
    /** What the backend's own allocator reports; browsers do not. */
    allocator_bytes: number | null;
    saved: { layer: string; stem: string; type: string; bytes: number; f32_bytes: number }[];
    slots: { bytes: number; tenancy: "state" | "port" | "transient"; tenants: Tenant[] }[];
}

/** Where the time and the memory of a training step go. Durations are nanoseconds. */
export interface Profile {
    format: "halfwave-profile";
    version: number;
    halfwave: string;
    recipe: string;
    batch: number;
    plan: string;
    device: { adapter: string; backend: string; driver: string; kind: string };
    /** Whether the device's timestamps can be believed, as observed, and the smallest step of the clock that was used. */
    timer: { quality: "exact" | "quantised" | "zero" | "absent"; quantum_ns: number };
    ceilings: Ceilings | null;
    steps: number;
    /** An ordinary step, by the device's clock if that is any good. */
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

/// How a step is profiled.
#[derive(Tsify, Deserialize)]
#[serde(default)]
pub struct ProfileOptions {
    /// Steps that each number is the median of; 10 if it is not given.
    #[tsify(optional)]
    pub steps: usize,
    /// What the profile calls the recipe.
    #[tsify(optional)]
    pub recipe: String,
    /// What the device can do: then each launch is held against it.
    #[tsify(optional, type = "Ceilings")]
    pub ceilings: Option<Ceilings>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self { steps: 10, recipe: "recipe".into(), ceilings: None }
    }
}

/// More would only keep the caller waiting.
const MOST_STEPS: usize = 10_000;

#[wasm_bindgen]
impl Session {
    /// Measures a training step, launch by launch; the run stays exactly as it is. `progress` hears how many of the steps
    /// are measured.
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
                // What it throws is its own affair.
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

/// Measures what the GPU can do at most, on a device of its own, in some seconds: for `ProfileOptions.ceilings`.
#[wasm_bindgen(unchecked_return_type = "Ceilings")]
pub async fn ceilings() -> Result<JsValue> {
    let mut backend = open(None).await?;
    Ok(json(&Ceilings::measure(&mut backend).await?))
}

/// A value as JSON has it: objects for maps, nulls for what is not there.
fn json(value: &impl Serialize) -> JsValue {
    value.serialize(&Serializer::json_compatible()).expect("plain values can be told")
}
