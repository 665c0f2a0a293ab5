//! The GPU backend: executes plans through wgpu. The only module that uses wgpu.
//!
//! **Invariant:** nothing here blocks in a browser; natively only `read` and `load` wait.
//! **Invariant:** a step allocates nothing: buffers, pipelines and bind groups are created when a
//! plan is loaded.

mod adapter;
#[cfg(not(target_arch = "wasm32"))]
mod capture;
mod compile;
mod environment;
mod pace;
mod recorder;
mod timed;
mod trusted;

pub use adapter::{AdapterReport, Found, OnVerdict, Request, called, choose, find, no_such, position, wgpu_version};
pub use environment::{ADAPTER_NAME, Environment};

use super::{Backend, Clock, Grain, LocalFuture, PlanId, Submission, TimedRun, Timing};
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::plan::{Lifetime, Plan, Port};
use crate::stop::Stop;
use compile::Pipeline;
use pace::Ticket;
use recorder::Recorder;
use std::collections::HashMap;
use std::ops::Range;

struct Loaded {
    plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    pipelines: Vec<wgpu::ComputePipeline>,
    bind_groups: Vec<wgpu::BindGroup>,
    /// Layer and kernel of each step, for the platform's debugging tools.
    labels: Vec<String>,
}

/// Whether the backend is a browser's WebGPU.
const BROWSER: bool = cfg!(target_arch = "wasm32");

/// Whether names of passes and launches are visible anywhere: with `WGPU_DEBUG=1` (the default in
/// wgpu's debug builds) or a detailed log. In a browser a debug group costs more than a dispatch,
/// and hardly any tool shows it: passes have labels, launches have none.
fn names_are_seen() -> bool {
    let debug = wgpu::InstanceFlags::from_env_or_default().contains(wgpu::InstanceFlags::DEBUG);
    !BROWSER && (debug || log::log_enabled!(log::Level::Debug))
}

impl Loaded {
    /// Records a step, with `named` in a debug group that carries its label.
    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, step: usize, repeats: u32, named: bool) {
        let launch = &self.plan.steps[step];
        if named {
            pass.push_debug_group(&self.labels[step]);
        }
        pass.set_pipeline(&self.pipelines[launch.kernel]);
        pass.set_bind_group(0, &self.bind_groups[step], launch.uniform.as_slice());
        for _ in 0..repeats {
            pass.dispatch_workgroups(launch.groups[0], launch.groups[1], 1);
        }
        if named {
            pass.pop_debug_group();
        }
    }
}

/// Returns the label of each step of a plan: layers and kernel.
fn labels(plan: &Plan) -> Vec<String> {
    let labels = plan.steps.iter().enumerate().map(|(index, step)| {
        let (layers, kernel) = (plan.layers(index), &plan.kernels[step.kernel].label);
        if layers.is_empty() { kernel.clone() } else { format!("{layers} {kernel}") }
    });
    labels.collect()
}

/// Runs plans on one device.
pub struct GpuBackend {
    report: AdapterReport,
    caps: Caps,
    device: wgpu::Device,
    queue: wgpu::Queue,
    fault: adapter::Fault,
    /// Whether passes and launches are recorded with their names, which costs the host time.
    named: bool,
    recorder: Recorder,
    pipelines: HashMap<Kernel, Pipeline>,
    plans: Vec<Loaded>,
    state: HashMap<String, wgpu::Buffer>,
    /// Transient buffers, longest first, which plans share: those of plans that are not nested, and those of nested
    /// ones. No plan runs between parts of another one of the same kind.
    pools: [Vec<wgpu::Buffer>; 2],
    stop: Stop,
    /// Whether stop requests are ignored.
    ignores_stops: bool,
    on_verdict: Option<OnVerdict>,
}

impl GpuBackend {
    /// Opens an adapter; a device class can be given instead of a full request.
    ///
    /// # Errors
    ///
    /// Returns an error if the driver cannot open the adapter.
    pub async fn open(found: Found, request: impl Into<Request>) -> Result<Self> {
        let mut request = request.into();
        let on_verdict = request.on_verdict.take();
        let adapter::Opened { device, queue, caps, fault, report } = adapter::open(found, request).await?;
        let (recorder, named) = (Recorder::new(&device, &queue), names_are_seen());
        let (pipelines, plans, state) = (HashMap::new(), Vec::new(), HashMap::new());
        let stop = Stop::default();
        Ok(Self {
            report,
            caps,
            device,
            queue,
            fault,
            named,
            recorder,
            pipelines,
            plans,
            state,
            pools: Default::default(),
            stop,
            ignores_stops: false,
            on_verdict,
        })
    }

    /// Returns the adapter's properties.
    pub fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// Waits until the device has completed all submitted work; in a browser, returns at once.
    pub fn wait(&mut self) {
        self.recorder.submit();
        let done = self.recorder.done();
        match self.device.poll(wgpu::PollType::wait_indefinitely()) {
            Ok(_) if !BROWSER => done(),
            Ok(_) => {}
            Err(error) => log::warn!("waiting for the device: {error}"),
        }
    }

    /// Starts mapping a buffer. The future waits for the submission that fills the buffer, and for
    /// none after that.
    fn map(&self, staging: &wgpu::Buffer, filled: wgpu::SubmissionIndex) -> impl Future<Output = Result<()>> + use<> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        let done = self.recorder.done();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            done();
            // Fails only if the receiver was dropped, when nobody waits any more.
            let _ = sender.send(result);
        });
        let (device, fault) = (self.device.clone(), self.fault.clone());
        #[cfg(target_arch = "wasm32")]
        let queue = self.queue.clone();
        async move {
            // Firefox processes mappings when work is submitted, and otherwise ten times a second.
            #[cfg(target_arch = "wasm32")]
            queue.submit([device.create_command_encoder(&Default::default()).finish()]);
            if let Err(error) = device.poll(wgpu::PollType::Wait { submission_index: Some(filled), timeout: None }) {
                log::warn!("waiting for the device: {error}");
            }
            let mapped = receiver.await;
            fault.check()?;
            let lost = |error: &dyn std::fmt::Display| Error::Device(format!("reading back failed: {error}"));
            mapped.map_err(|error| lost(&error))?.map_err(|error| lost(&error))
        }
    }

    /// Paces by estimated run times and measures nothing. Submissions then depend only on the
    /// calls, so that tests can count them. Must be called while no work is in flight; estimates
    /// from earlier measurements are kept.
    pub fn pace_by_guesses(&mut self) {
        self.recorder.pacer.measure_nothing();
    }

    /// Starts part of a plan's steps in a separate submission, for benchmarks.
    ///
    /// # Errors
    ///
    /// Returns an error if the device is lost.
    pub fn run_steps(&mut self, id: PlanId, steps: Range<usize>) -> Result<()> {
        self.fault.check()?;
        self.recorder.submit();
        self.record(id, steps, None);
        self.recorder.submit();
        Ok(())
    }

    fn record(&mut self, id: PlanId, steps: Range<usize>, ticket: Option<Ticket>) {
        let (loaded, named) = (&self.plans[id.0], self.named);
        let label = loaded.labels.get(steps.start).map(String::as_str).filter(|_| named || BROWSER);
        self.recorder.pass(label, ticket, |pass| steps.for_each(|step| loaded.dispatch(pass, step, 1, named)));
    }

    fn buffer(&self, label: &str, words: usize, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: (words as u64 * 4).max(16),
            usage,
            mapped_at_creation: false,
        })
    }

    /// Returns the buffers of a plan: state by name, transient ones from a pool, new ones for
    /// ports.
    fn buffers(&mut self, plan: &Plan) -> Vec<wgpu::Buffer> {
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let lengths = plan.buffers();
        let mut buffers: Vec<Option<wgpu::Buffer>> = vec![None; lengths.len()];
        // Buffers that a kernel binds as a uniform: a step's rates, the scales of values in half
        // precision.
        let mut uniform = vec![false; plan.slots.len()];
        for step in &plan.steps {
            let bindings = plan.kernels[step.kernel].bindings.iter().zip(&step.bindings);
            bindings.filter(|(binding, _)| binding.uniform.is_some()).for_each(|(_, &(slot, _))| uniform[slot] = true);
        }
        let usage = |slot: usize| if uniform[slot] { storage | wgpu::BufferUsages::UNIFORM } else { storage };
        for Port { name, place } in &plan.state {
            let made = match self.state.get(name) {
                Some(buffer) => buffer.clone(),
                None => self.buffer(name, place.stored().words(), usage(place.slot)),
            };
            assert_eq!(made.size(), (place.stored().bytes() as u64).max(16), "two plans disagree on the state {name}");
            self.state.insert(name.clone(), made.clone());
            buffers[place.slot] = Some(made);
        }
        let is_transient =
            |buffer: usize| plan.slots.get(buffer).is_none_or(|slot| slot.lifetime == Lifetime::Transient);
        // For slots that share a buffer, only the shared buffer is created.
        let is_made = |buffer: &usize| is_transient(*buffer) && lengths[*buffer] > 0;
        let mut transient: Vec<_> = (0..lengths.len()).filter(is_made).collect();
        transient.sort_by_key(|&slot| std::cmp::Reverse(lengths[slot]));
        for (rank, &slot) in transient.iter().enumerate() {
            let (words, pool) = (lengths[slot], usize::from(plan.nested));
            if self.pools[pool].get(rank).is_none_or(|buffer| buffer.size() < words as u64 * 4) {
                let made = self.buffer("transient", words, storage);
                self.pools[pool].insert(rank, made);
            }
            buffers[slot] = Some(self.pools[pool][rank].clone());
        }
        (0..plan.slots.len())
            .map(|slot| {
                let words = plan.slots[slot].words;
                buffers[plan.buffer(slot).0].clone().unwrap_or_else(|| self.buffer("port", words, usage(slot)))
            })
            .collect()
    }

    fn bind_groups(&self, plan: &Plan, buffers: &[wgpu::Buffer]) -> Vec<wgpu::BindGroup> {
        let uniforms =
            self.buffer("uniforms", plan.uniforms.len(), wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
        if !plan.uniforms.is_empty() {
            self.queue.write_buffer(&uniforms, 0, bytemuck::cast_slice(&plan.uniforms));
        }
        let range = |buffer, begin: usize, words: usize| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: begin as u64 * 4,
                size: wgpu::BufferSize::new((words as u64 * 4).max(16)),
            })
        };
        let groups = plan.steps.iter().map(|step| {
            let kernel = &plan.kernels[step.kernel];
            let mut resources: Vec<_> =
                step.bindings.iter().map(|&(slot, words)| range(&buffers[slot], plan.buffer(slot).1, words)).collect();
            if step.uniform.is_some() {
                resources.push(range(&uniforms, 0, kernel.uniform().count().next_multiple_of(4)));
            }
            let entries: Vec<_> = resources
                .into_iter()
                .enumerate()
                .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
                .collect();
            self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&kernel.label),
                layout: &self.pipelines[kernel].layout,
                entries: &entries,
            })
        });
        groups.collect()
    }

    fn port(&self, id: PlanId, name: &str) -> (&wgpu::Buffer, usize) {
        let loaded = &self.plans[id.0];
        let port = loaded.plan.port(name).unwrap_or_else(|| panic!("the plan has no port {name}"));
        (&loaded.buffers[port.place.slot], port.place.stored().words())
    }
}

impl Backend for GpuBackend {
    fn name(&self) -> &str {
        &self.report.name
    }

    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn runs_kernels(&self) -> bool {
        !BROWSER
    }

    fn set_verdict(&mut self, kernel: &str, right: bool) {
        self.caps.verdicts.insert(kernel.to_string(), right);
        if let Some(hear) = &self.on_verdict {
            hear(kernel, right);
        }
    }

    fn stop_by(&mut self, stop: Stop) {
        self.stop = stop;
    }

    fn obey_stops(&mut self, heard: bool) {
        self.ignores_stops = !heard;
    }

    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>> {
        Box::pin(async move {
            let buffers = self.buffers(&plan);
            let missing = plan.kernels.iter().filter(|kernel| !self.pipelines.contains_key(kernel)).collect();
            let made = match compile::all(&self.device, missing, self.caps.checks, &self.stop).await {
                Ok(made) => made,
                Err(error) => {
                    self.fault.check()?;
                    return Err(Error::Device(format!("the device refused a kernel: {error}")));
                }
            };
            self.pipelines.extend(made);
            self.stop.check()?;
            let bind_groups = self.bind_groups(&plan, &buffers);
            let pipelines = plan.kernels.iter().map(|kernel| self.pipelines[kernel].pipeline.clone()).collect();
            self.fault.check()?;
            self.recorder.pacer.loaded(&plan);
            let labels = labels(&plan);
            self.plans.push(Loaded { plan, buffers, pipelines, bind_groups, labels });
            Ok(PlanId(self.plans.len() - 1))
        })
    }

    fn plan(&self, id: PlanId) -> &Plan {
        &self.plans[id.0].plan
    }

    fn write(&mut self, id: PlanId, port: &str, words: &[u32]) {
        let (buffer, expected) = self.port(id, port);
        assert_eq!(words.len(), expected, "length of {port}");
        self.recorder.write(&buffer.clone(), bytemuck::cast_slice(words));
    }

    fn run_part(&mut self, id: PlanId, part: Range<usize>) -> Result<()> {
        self.fault.check()?;
        if !self.ignores_stops {
            self.stop.check()?;
        }
        let pacer = &self.recorder.pacer;
        let (measured, ns) = (pacer.begin(id.0), pacer.run_ns(id.0));
        self.recorder.begin(ns, measured);
        let mut from = part.start;
        while from < part.end {
            if from > part.start {
                self.recorder.submit();
            }
            let pacer = &self.recorder.pacer;
            let steps = from..pacer.cut(id.0, from).min(part.end);
            from = steps.end;
            let ticket = if measured { pacer.ticket(id.0, steps.clone()) } else { None };
            self.record(id, steps, ticket);
        }
        self.recorder.end(ns, measured);
        Ok(())
    }

    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        if let Err(error) = self.fault.check() {
            return Box::pin(async move { Err(error) });
        }
        let (buffer, words) = self.port(id, port);
        let bytes = words as u64 * 4;
        let staging = self.buffer("read-back", words, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let buffer = buffer.clone();
        let filled = self.recorder.copy(&buffer, &staging, bytes);
        let (mapped, port) = (self.map(&staging, filled), port.to_string());
        Box::pin(async move {
            mapped.await?;
            let lost = |error: &dyn std::fmt::Display| Error::Device(format!("reading {port} back failed: {error}"));
            let view = staging.get_mapped_range(0..bytes).map_err(|error| lost(&error))?;
            Ok(bytemuck::pod_collect_to_vec(&view))
        })
    }

    fn run_timed<'a>(
        &'a mut self,
        id: PlanId,
        repeats: &'a [u32],
        clock: Clock,
        grain: Grain,
    ) -> LocalFuture<'a, Result<TimedRun>> {
        Box::pin(self.timed(id, repeats, clock, grain))
    }

    fn finish(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            self.recorder.submit();
            let (sender, receiver) = futures_channel::oneshot::channel();
            let done = self.recorder.done();
            self.queue.on_submitted_work_done(move || {
                done();
                // Fails only if the receiver was dropped, when nobody waits any more.
                let _ = sender.send(());
            });
            self.wait();
            let finished = receiver.await;
            self.fault.check()?;
            finished.map_err(|error| Error::Device(format!("waiting for the device failed: {error}")))
        })
    }

    fn allocated_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn capture(&mut self, id: PlanId) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            self.recorder.submit();
            let captured = capture::Capture::begin(&self.device);
            let named = std::mem::replace(&mut self.named, true);
            let ran = self.run(id);
            self.named = named;
            let finished = self.finish().await;
            drop(captured);
            ran.and(finished)
        })
    }

    fn timing(&self) -> Option<Timing> {
        Some(self.recorder.pacer.timing())
    }

    fn trace(&mut self) -> Vec<Submission> {
        self.recorder.pacer.trace()
    }
}
