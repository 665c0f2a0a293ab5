//! Compilation of kernels to pipelines: natively on all cores, in the browser sequentially.

use super::trusted;
use crate::kernel::Kernel;
use crate::stop::Stop;
use std::collections::HashMap;

/// A compiled kernel.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Compiles kernels; may return only some of them once a stop is requested.
///
/// # Errors
///
/// Returns the first error of the driver, which affects only the plan, not the device.
pub(super) async fn all(
    device: &wgpu::Device,
    kernels: Vec<&Kernel>,
    checks: bool,
    stop: &Stop,
) -> Result<HashMap<Kernel, Pipeline>, wgpu::Error> {
    let timed = |kernel: &Kernel| {
        let started = web_time::Instant::now();
        let pipeline = Pipeline::new(device, kernel, checks);
        log::debug!("compiled {} in {:.0} ms", kernel.label, started.elapsed().as_secs_f64() * 1e3);
        (kernel.clone(), pipeline)
    };
    // Error scopes are per thread, and their results are available immediately.
    #[cfg(not(target_arch = "wasm32"))]
    {
        use rayon::prelude::*;
        let made = kernels.into_par_iter().filter(|_| !stop.asked()).map(|kernel| {
            let scopes = Scopes::push(device);
            let made = timed(kernel);
            pollster::block_on(scopes.pop()).map(|()| made)
        });
        made.collect()
    }
    #[cfg(target_arch = "wasm32")]
    {
        let scopes = Scopes::push(device);
        let made = kernels.into_iter().take_while(|_| !stop.asked()).map(timed).collect();
        scopes.pop().await.map(|()| made)
    }
}

/// Error scopes around driver calls.
struct Scopes([wgpu::ErrorScopeGuard; 2]);

impl Scopes {
    fn push(device: &wgpu::Device) -> Self {
        Self([wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal].map(|filter| device.push_error_scope(filter)))
    }

    async fn pop(self) -> Result<(), wgpu::Error> {
        let [validation, internal] = self.0;
        // Both are popped, the inner one first, before either is awaited.
        for outcome in [internal.pop(), validation.pop()] {
            if let Some(error) = outcome.await {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Pipeline {
    fn new(device: &wgpu::Device, kernel: &Kernel, checks: bool) -> Self {
        let entry = |binding: usize, ty| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let storage = |read_only| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let uniform = |has_dynamic_offset| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset,
            min_binding_size: None,
        };
        let bindings = kernel.bindings.iter().enumerate();
        let bindings = bindings.map(|(i, binding)| {
            entry(i, if binding.uniform.is_some() { uniform(false) } else { storage(binding.is_read_only()) })
        });
        let mut entries: Vec<_> = bindings.collect();
        if kernel.uniform().next().is_some() {
            entries.push(entry(kernel.bindings.len(), uniform(true)));
        }
        let label = Some(kernel.label.as_str());
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let source = wgpu::ShaderSource::Wgsl(kernel.wgsl().into());
        let descriptor = wgpu::ShaderModuleDescriptor { label, source };
        let module = match kernel.trusted && !checks {
            true => trusted::module(device, descriptor),
            false => device.create_shader_module(descriptor),
        };
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Self { pipeline, layout }
    }
}
