//! Access to WebGPU in JavaScript: a browser's, or one that Node.js gets from a package.
//!
//! **Invariant:** wgpu is called only where `navigator.gpu` exists; elsewhere it panics, and a
//! panic never settles a promise.

use crate::Result;
use halfwave::Error;
use halfwave::backend::gpu::{self, Found};
use js_sys::{Object, Reflect};
use std::future::{Future, poll_fn};
use std::pin::pin;
use wasm_bindgen::prelude::*;

const ON_CPU: &str = "or open the session with { adapter: \"cpu\" }";

/// The adapter that `navigator.gpu` offers.
pub(crate) async fn find() -> Result<Found> {
    let node = has(&js_sys::global(), &["process", "versions", "node"]);
    if !has(&js_sys::global(), &["navigator", "gpu", "requestAdapter"]) {
        return Err(Error::Device(absent(node)).into());
    }
    let mut finding = pin!(gpu::find());
    let found = poll_fn(|context| {
        let _scope = WorkerScope::pretend();
        finding.as_mut().poll(context)
    });
    let found = found.await.into_iter().next().ok_or_else(|| Error::Device(no_adapter(node)))?;
    Ok(found)
}

fn absent(node: bool) -> String {
    if node {
        return format!(
            "Node.js has no built-in WebGPU: `npm install webgpu`, and before opening a session \
             `import {{ create, globals }} from \"webgpu\"; Object.assign(globalThis, globals); \
             globalThis.navigator = {{ gpu: create([]) }};`; {ON_CPU}"
        );
    }
    format!(
        "there is no WebGPU here (navigator.gpu is missing): use a current Chrome, Edge, Firefox or Safari, and https:// or localhost; {ON_CPU}"
    )
}

fn no_adapter(node: bool) -> String {
    if node {
        return format!(
            "WebGPU found no adapter: install a Vulkan driver, for software rendering Mesa's lavapipe, version 25 or later; {ON_CPU}"
        );
    }
    format!(
        "this browser offers no WebGPU adapter: turn on hardware acceleration in its settings, or use a current Chrome, Edge, Firefox or Safari; {ON_CPU}"
    )
}

/// Whether a chain of properties leads to a value.
fn has(from: &Object, path: &[&str]) -> bool {
    let end = path.iter().try_fold(JsValue::from(from), |value, name| Reflect::get(&value, &(*name).into()));
    end.is_ok_and(|value| !value.is_undefined() && !value.is_null())
}

/// wgpu looks for `navigator.gpu` only where there is a `Window` or a `WorkerGlobalScope`. Node.js
/// has neither; because other libraries detect browsers by them, the name is only set while wgpu
/// looks.
struct WorkerScope(bool);

impl WorkerScope {
    const NAME: &str = "WorkerGlobalScope";

    fn pretend() -> Self {
        let global = js_sys::global();
        let needed = !has(&global, &["Window"]) && !has(&global, &[Self::NAME]);
        Self(needed && Reflect::set(&global, &Self::NAME.into(), &Object::new()).unwrap_or(false))
    }
}

impl Drop for WorkerScope {
    fn drop(&mut self) {
        if self.0 {
            // A property set just now can be deleted.
            let _ = Reflect::delete_property(&js_sys::global(), &Self::NAME.into());
        }
    }
}
