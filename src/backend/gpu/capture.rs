//! Captures for graphics debuggers, with unsafe code.
//!
//! wgpu marks these two calls unsafe because a debugger hooks into the driver and may crash the
//! program; they have no other precondition. They are made only when a user explicitly requests a
//! capture.

/// A capture in progress, which ends when this is dropped.
pub(super) struct Capture(wgpu::Device);

impl Capture {
    /// Begins a capture. Without an attached debugger, wgpu logs that, and nothing happens.
    #[allow(unsafe_code)]
    pub(super) fn begin(device: &wgpu::Device) -> Self {
        // SAFETY: the only precondition is a working debugger, which the user who requested the
        // capture provides.
        unsafe { device.start_graphics_debugger_capture() };
        Self(device.clone())
    }
}

impl Drop for Capture {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: as above; `begin` started the capture, once.
        unsafe { self.0.stop_graphics_debugger_capture() };
    }
}
