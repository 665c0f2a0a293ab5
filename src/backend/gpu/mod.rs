//! The GPU backend: plans through wgpu. The only module that knows wgpu.
//!
//! **Invariant:** nothing here blocks in a browser; natively only `read` and `load` wait.
//! **Invariant:** a step allocates nothing: buffers, pipelines and bind groups are made when a plan is loaded.

mod adapter;
#[cfg(not(target_arch = "wasm32"))]
mod capture;
mod compile;
mod environment;
mod pace;
mod timed;
mod trusted;

pub use adapter::{AdapterReport, Found, Request, called, choose, find, no_such, position, wgpu_version};
pub use environment::{ADAPTER_NAME, Environment};

use super::{Backend, Clock, Grain, LocalFuture, PlanId, Submission, TimedRun, Timing};
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::plan::{Plan, Port, Tenancy};
use crate::stop::Stop;
use compile::Pipeline;
use pace::{Pacer, Ticket};
use std::collections::HashMap;
use std::ops::Range;

struct Loaded {
    plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    pipelines: Vec<wgpu::ComputePipeline>,
    bind_groups: Vec<wgpu::BindGroup>,
    /// By step, for the platform's own tools: layer and kernel.
    labels: Vec<String>,
}

/// In a browser a group costs more than a dispatch, and hardly any tool there shows it: passes have labels, launches have none.
const GROUPS: bool = cfg!(not(target_arch = "wasm32"));

impl Loaded {
    /// Records a step, in a debug group that says what it is.
    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, step: usize, repeats: u32) {
        let launch = &self.plan.steps[step];
        if GROUPS {
            pass.push_debug_group(&self.labels[step]);
        }
        pass.set_pipeline(&self.pipelines[launch.kernel]);
        pass.set_bind_group(0, &self.bind_groups[step], launch.uniform.as_slice());
        for _ in 0..repeats {
            pass.dispatch_workgroups(launch.groups[0], launch.groups[1], 1);
        }
        if GROUPS {
            pass.pop_debug_group();
        }
    }
}

/// What each step of a plan is called: layers and kernel.
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
    /// Whether every kernel runs with wgpu's checks.
    checks: bool,
    pacer: Pacer,
    pipelines: HashMap<Kernel, Pipeline>,
    plans: Vec<Loaded>,
    state: HashMap<String, wgpu::Buffer>,
    /// Transient buffers, longest first: plans never run at the same time and share them.
    pool: Vec<wgpu::Buffer>,
    stop: Stop,
}

impl GpuBackend {
    /// Opens an adapter; a launch shape may stand for a whole request.
    ///
    /// # Errors
    /// When the driver refuses.
    pub async fn open(found: Found, request: impl Into<Request>) -> Result<Self> {
        let adapter::Opened { device, queue, caps, fault, report } = adapter::open(found, request.into()).await?;
        let pacer = Pacer::new(&device, &queue);
        let (pipelines, plans, state, pool) = (HashMap::new(), Vec::new(), HashMap::new(), Vec::new());
        let stop = Stop::default();
        let checks = trusted::checks_wanted();
        Ok(Self { report, caps, device, queue, fault, checks, pacer, pipelines, plans, state, pool, stop })
    }

    /// What is known of the adapter.
    pub fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// Waits until the device has done all that was asked of it; in a browser, returns at once.
    pub fn wait(&self) {
        if let Err(error) = self.device.poll(wgpu::PollType::wait_indefinitely()) {
            log::warn!("waiting for the device: {error}");
        }
    }

    /// Begins to map a buffer; the future waits until it can be read, for the submission that fills it and none after that.
    fn map(&self, staging: &wgpu::Buffer, filled: wgpu::SubmissionIndex) -> impl Future<Output = Result<()>> + use<> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone only when nobody waits any more.
            let _ = sender.send(result);
        });
        let (device, fault) = (self.device.clone(), self.fault.clone());
        #[cfg(target_arch = "wasm32")]
        let queue = self.queue.clone();
        async move {
            // Firefox looks after its mappings when something is submitted, otherwise ten times a second.
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

    /// Starts a part of a plan's steps in a submission of their own: what benchmarks time.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn run_steps(&mut self, id: PlanId, steps: Range<usize>) -> Result<()> {
        self.fault.check()?;
        self.submit(id, steps, None);
        Ok(())
    }

    fn submit(&self, id: PlanId, steps: Range<usize>, ticket: Option<Ticket>) {
        let loaded = &self.plans[id.0];
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("step") });
        {
            let timestamp_writes = self.pacer.writes(ticket.as_ref());
            let label = loaded.labels.get(steps.start).map(String::as_str);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes });
            for step in steps {
                loaded.dispatch(&mut pass, step, 1);
            }
        }
        self.pacer.resolve(ticket.as_ref(), &mut encoder);
        self.queue.submit([encoder.finish()]);
        self.pacer.submitted(ticket, &self.queue);
    }

    fn buffer(&self, label: &str, words: usize, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: (words as u64 * 4).max(16),
            usage,
            mapped_at_creation: false,
        })
    }

    /// Buffers of a plan: state by name, transient ones from the pool, ports new.
    fn buffers(&mut self, plan: &Plan) -> Vec<wgpu::Buffer> {
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut buffers: Vec<Option<wgpu::Buffer>> = vec![None; plan.slots.len()];
        for Port { name, place } in &plan.state {
            let made = match self.state.get(name) {
                Some(buffer) => buffer.clone(),
                None => self.buffer(name, place.ty.words(), storage),
            };
            assert_eq!(made.size(), (place.ty.bytes() as u64).max(16), "two plans disagree on the state {name}");
            self.state.insert(name.clone(), made.clone());
            buffers[place.slot] = Some(made);
        }
        let mut transient: Vec<_> =
            (0..plan.slots.len()).filter(|&slot| plan.slots[slot].tenancy == Tenancy::Transient).collect();
        transient.sort_by_key(|&slot| std::cmp::Reverse(plan.slots[slot].words));
        for (rank, &slot) in transient.iter().enumerate() {
            let words = plan.slots[slot].words;
            if self.pool.get(rank).is_none_or(|buffer| buffer.size() < words as u64 * 4) {
                let made = self.buffer("transient", words, storage);
                self.pool.insert(rank, made);
            }
            buffers[slot] = Some(self.pool[rank].clone());
        }
        let slots = buffers.into_iter().zip(&plan.slots);
        slots.map(|(buffer, slot)| buffer.unwrap_or_else(|| self.buffer("port", slot.words, storage))).collect()
    }

    fn bind_groups(&self, plan: &Plan, buffers: &[wgpu::Buffer]) -> Vec<wgpu::BindGroup> {
        let uniforms =
            self.buffer("uniforms", plan.uniforms.len(), wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
        if !plan.uniforms.is_empty() {
            self.queue.write_buffer(&uniforms, 0, bytemuck::cast_slice(&plan.uniforms));
        }
        let range = |buffer, words: usize| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: 0,
                size: wgpu::BufferSize::new((words as u64 * 4).max(16)),
            })
        };
        let groups = plan.steps.iter().map(|step| {
            let kernel = &plan.kernels[step.kernel];
            let mut resources: Vec<_> =
                step.bindings.iter().map(|&(slot, words)| range(&buffers[slot], words)).collect();
            if step.uniform.is_some() {
                resources.push(range(&uniforms, kernel.uniform().count().next_multiple_of(4)));
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
        (&loaded.buffers[port.place.slot], port.place.ty.words())
    }
}

impl Backend for GpuBackend {
    fn name(&self) -> &str {
        &self.report.name
    }

    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn stop_by(&mut self, stop: Stop) {
        self.stop = stop;
    }

    fn load(&mut self, plan: Plan) -> LocalFuture<'_, Result<PlanId>> {
        Box::pin(async move {
            let buffers = self.buffers(&plan);
            let missing = plan.kernels.iter().filter(|kernel| !self.pipelines.contains_key(kernel)).collect();
            let made = match compile::all(&self.device, missing, self.checks, &self.stop).await {
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
            self.pacer.loaded(&plan);
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
        self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(words));
    }

    fn run(&mut self, id: PlanId) -> Result<()> {
        self.fault.check()?;
        self.stop.check()?;
        let steps_len = self.plans[id.0].plan.steps.len();
        let measured = self.pacer.begin(id.0);
        let mut from = 0;
        while from < steps_len {
            let steps = from..self.pacer.cut(id.0, from);
            from = steps.end;
            let ticket = if measured { self.pacer.ticket(id.0, steps.clone()) } else { None };
            self.submit(id, steps, ticket);
        }
        Ok(())
    }

    fn read(&mut self, id: PlanId, port: &str) -> LocalFuture<'static, Result<Vec<u32>>> {
        if let Err(error) = self.fault.check() {
            return Box::pin(async move { Err(error) });
        }
        let (buffer, words) = self.port(id, port);
        let bytes = words as u64 * 4;
        let staging = self.buffer("read-back", words, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
        let filled = self.queue.submit([encoder.finish()]);
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
            let (sender, receiver) = futures_channel::oneshot::channel();
            self.queue.on_submitted_work_done(move || {
                // The receiver is gone only when nobody waits any more.
                let _ = sender.send(());
            });
            self.wait();
            let done = receiver.await;
            self.fault.check()?;
            done.map_err(|error| Error::Device(format!("waiting for the device failed: {error}")))
        })
    }

    fn allocated_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn capture(&mut self, id: PlanId) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            let captured = capture::Capture::begin(&self.device);
            self.run(id)?;
            self.finish().await?;
            drop(captured);
            Ok(())
        })
    }

    fn timing(&self) -> Option<Timing> {
        Some(self.pacer.timing())
    }

    fn trace(&mut self) -> Vec<Submission> {
        self.pacer.trace()
    }
}
