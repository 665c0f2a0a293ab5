//! Timed runs: every launch, or every submission, with timestamps at both ends of its compute pass,
//! or with the host's clock.
//!
//! **Invariant:** a timed run computes the same as an ordinary run, in the same order; only passes
//! and submissions are smaller.

use super::{BROWSER, GpuBackend};
use crate::backend::{Backend, Clock, Grain, HostTimes, PlanId, Stamp, TimedRun};
use crate::error::{Error, Result};
use std::ops::Range;
use web_time::Instant;

/// Most launches in a submission: WebGPU's query sets hold 4096 timestamps.
const LAUNCHES: usize = 2048;

/// Timestamps of one submission's launches, in transfer to the host.
struct Stamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

impl Stamps {
    fn new(device: &wgpu::Device, launches: usize) -> Self {
        let count = 2 * launches as u32;
        let buffer = |usage| {
            let size = u64::from(count) * 8;
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("stamps"),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let descriptor = wgpu::QuerySetDescriptor { label: Some("stamps"), ty: wgpu::QueryType::Timestamp, count };
        Self {
            queries: device.create_query_set(&descriptor),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        }
    }
}

impl Stamps {
    /// Returns the stamps, once the staging buffer is mapped. An end before its beginning counts as
    /// no time.
    fn collect(&self, passes: Vec<Range<usize>>) -> Result<Vec<Stamp>> {
        let view = self.staging.get_mapped_range(..);
        let view = view.map_err(|error| Error::Device(format!("reading timestamps failed: {error}")))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        let stamps = passes.into_iter().zip(ticks.chunks_exact(2));
        Ok(stamps.map(|(steps, ticks)| Stamp { steps, begin: ticks[0], end: ticks[1].max(ticks[0]) }).collect())
    }
}

impl GpuBackend {
    pub(super) async fn timed(&mut self, id: PlanId, repeats: &[u32], clock: Clock, grain: Grain) -> Result<TimedRun> {
        self.fault.check()?;
        self.stop.check()?;
        let steps_len = self.plans[id.0].plan.steps.len();
        assert_eq!(repeats.len(), steps_len, "a number of repeats for each step");
        self.recorder.submit();
        let clock = if self.recorder.pacer.stamps() { clock } else { Clock::Host };
        let tick_ns = if clock == Clock::Device { self.recorder.pacer.tick_ns() } else { 1.0 };
        let mut run = TimedRun { clock, tick_ns, stamps: Vec::new(), host: Vec::new() };
        let (mut from, origin) = (0, Instant::now());
        while from < steps_len {
            let to = match (clock, grain) {
                (Clock::Host, Grain::Launch) => from + 1,
                _ => self.recorder.pacer.cut_repeated(id.0, from, repeats).min(from + LAUNCHES),
            };
            let passes: Vec<Range<usize>> = match grain {
                Grain::Launch => (from..to).map(|step| step..step + 1).collect(),
                Grain::Submission => std::iter::once(from..to).collect(),
            };
            let stamps = (clock == Clock::Device).then(|| Stamps::new(&self.device, passes.len()));
            let host = self.submit_timed(id, &passes, repeats, stamps.as_ref()).await?;
            match &stamps {
                Some(stamps) => run.stamps.extend(stamps.collect(passes)?),
                None => {
                    let ns = |at: Instant| (at - origin).as_nanos() as u64;
                    run.stamps.push(Stamp { steps: from..to, begin: ns(host.encoded), end: ns(host.done) });
                }
            }
            run.host.push(host);
            from = to;
        }
        Ok(run)
    }

    async fn submit_timed(
        &mut self,
        id: PlanId,
        passes: &[Range<usize>],
        repeats: &[u32],
        stamps: Option<&Stamps>,
    ) -> Result<HostTimes> {
        let begun = Instant::now();
        let loaded = &self.plans[id.0];
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("timed") });
        for (index, steps) in passes.iter().enumerate() {
            let timestamp_writes = stamps.map(|stamps| wgpu::ComputePassTimestampWrites {
                query_set: &stamps.queries,
                beginning_of_pass_write_index: Some(2 * index as u32),
                end_of_pass_write_index: Some(2 * index as u32 + 1),
            });
            let label = loaded.labels.get(steps.start).map(String::as_str);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes });
            for step in steps.clone() {
                loaded.dispatch(&mut pass, step, repeats[step], !BROWSER);
            }
        }
        if let Some(Stamps { queries, resolved, staging }) = stamps {
            encoder.resolve_query_set(queries, 0..2 * passes.len() as u32, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, staging, 0, 16 * passes.len() as u64);
        }
        let commands = encoder.finish();
        let encoded = Instant::now();
        let submission = self.queue.submit([commands]);
        let submitted = Instant::now();
        match stamps {
            Some(stamps) => self.map(&stamps.staging, submission).await?,
            None => self.finish().await?,
        }
        let steps = passes[0].start..passes[passes.len() - 1].end;
        Ok(HostTimes { steps, begun, encoded, submitted, done: Instant::now() })
    }
}
