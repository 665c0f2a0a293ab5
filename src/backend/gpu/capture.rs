//! Captures for graphics debuggers, with unsafe code.
//!
//! wgpu marks these two calls unsafe because a debugger hooks into the driver and may crash the program; they have no other precondition. They are made
//! only when a user asks for a capture by name.

/// A capture under way, until it is dropped.
pub(super) struct Capture(wgpu::Device);

impl Capture {
    /// Begins a capture. Where no debugger is attached, wgpu logs that and nothing happens.
    #[allow(unsafe_code)]
    pub(super) fn begin(device: &wgpu::Device) -> Self {
        // SAFETY: no precondition but a debugger that works, which is the user's who asked for it.
        unsafe { device.start_graphics_debugger_capture() };
        Self(device.clone())
    }
}

impl Drop for Capture {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: as above; begun in `begin`, once.
        unsafe { self.0.stop_graphics_debugger_capture() };
    }
}
