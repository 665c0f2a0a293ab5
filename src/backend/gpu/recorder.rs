//! The recorder: collects commands in order into one submission until it is full or its results are
//! waited for.
//!
//! A submission costs the host 40 to 50 µs on an NVIDIA H200, a tenth of a small step. Small runs
//! therefore share one, as many as the pacer's budget allows. Queue writes take effect before the
//! whole next submission, so an input of a run that shares one is staged, and copied to its place
//! between the runs.
//!
//! **Invariant:** writes, runs and reads take effect in the order of the calls; sharing a
//! submission changes only their timing.

use super::BROWSER;
use super::pace::{AIM_NS, Pacer, Ticket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of small writes staged per submission. A longer write goes to the queue, after the open
/// submission.
const STAGED: usize = 1 << 20;

/// The open submission.
struct Open {
    encoder: wgpu::CommandEncoder,
    tickets: Vec<Ticket>,
    share: Share,
}

/// The runs of a submission so far.
#[derive(Clone, Copy, Default)]
struct Share {
    runs: u32,
    ns: f64,
}

impl Share {
    /// Whether a run of `ns` should be placed in the next submission.
    fn refuses(self, ns: f64) -> bool {
        self.runs > 0 && self.ns + ns > AIM_NS
    }

    /// Whether no further run should join.
    fn is_full(self, width: u32) -> bool {
        self.runs >= width || self.ns >= AIM_NS
    }
}

/// Records submissions of one device.
pub(super) struct Recorder {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pub(super) pacer: Pacer,
    open: Option<Open>,
    staging: wgpu::Buffer,
    staged: Vec<u8>,
    /// Most runs per submission: one while the device is idle, then doubled each time.
    width: u32,
    submitted: u64,
    /// The last submission known to be done.
    done: Arc<AtomicU64>,
}

impl Recorder {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("inputs"),
            size: STAGED as u64,
            usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self {
            device: device.clone(),
            queue: queue.clone(),
            pacer: Pacer::new(device, queue),
            open: None,
            staging,
            staged: Vec::new(),
            width: 1,
            submitted: 0,
            done: Arc::default(),
        }
    }

    /// Takes the open submission, or an empty one.
    fn take(&mut self) -> Open {
        self.open.take().unwrap_or_else(|| {
            let encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("steps") });
            Open { encoder, tickets: Vec::new(), share: Share::default() }
        })
    }

    /// Writes to the beginning of a buffer.
    pub(super) fn write(&mut self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        if self.staged.len() + bytes.len() > STAGED {
            self.submit();
        }
        if bytes.len() > STAGED {
            self.queue.write_buffer(buffer, 0, bytes);
            return;
        }
        let mut open = self.take();
        let from = self.staged.len() as u64;
        open.encoder.copy_buffer_to_buffer(&self.staging, from, buffer, 0, bytes.len() as u64);
        self.staged.extend_from_slice(bytes);
        self.open = Some(open);
    }

    /// Copies the beginning of a buffer, and submits the copy with all commands before it.
    pub(super) fn copy(&mut self, from: &wgpu::Buffer, to: &wgpu::Buffer, bytes: u64) -> wgpu::SubmissionIndex {
        let mut open = self.take();
        open.encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
        self.send(open)
    }

    /// Begins a run of about `ns`. It gets its own submission if it does not fit into the open one,
    /// or if it is `measured` in a browser, where the clock may measure whole submissions.
    pub(super) fn begin(&mut self, ns: f64, measured: bool) {
        if self.open.as_ref().is_some_and(|open| open.share.refuses(ns)) || measured && BROWSER {
            self.submit();
        }
    }

    /// Records a pass of a run.
    pub(super) fn pass(
        &mut self,
        label: Option<&str>,
        ticket: Option<Ticket>,
        record: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) {
        let mut open = self.take();
        let timestamp_writes = self.pacer.writes(ticket.as_ref());
        record(&mut open.encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes }));
        self.pacer.resolve(ticket.as_ref(), &mut open.encoder);
        open.tickets.extend(ticket);
        self.open = Some(open);
    }

    /// Ends a run of about `ns`, and submits it unless another one may join.
    pub(super) fn end(&mut self, ns: f64, measured: bool) {
        if self.submitted == self.done.load(Ordering::Relaxed) {
            self.width = 1;
        }
        let mut open = self.take();
        open.share = Share { runs: open.share.runs + 1, ns: open.share.ns + ns };
        if open.share.is_full(self.width) || measured && BROWSER {
            self.width = self.width.saturating_mul(2);
            self.send(open);
        } else {
            self.open = Some(open);
        }
    }

    /// Submits the open submission, if there is one.
    pub(super) fn submit(&mut self) {
        if let Some(open) = self.open.take() {
            self.send(open);
        }
    }

    fn send(&mut self, Open { encoder, tickets, .. }: Open) -> wgpu::SubmissionIndex {
        if !self.staged.is_empty() {
            self.queue.write_buffer(&self.staging, 0, &self.staged);
            self.staged.clear();
        }
        let index = self.queue.submit([encoder.finish()]);
        self.submitted += 1;
        self.pacer.submitted(tickets, &self.queue);
        index
    }

    /// Returns a callback to call once all work submitted so far is known to be done.
    pub(super) fn done(&self) -> impl FnOnce() + Send + use<> {
        let (done, submission) = (self.done.clone(), self.submitted);
        move || {
            done.fetch_max(submission, Ordering::Relaxed);
        }
    }
}
