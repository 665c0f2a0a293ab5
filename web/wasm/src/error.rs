//! Errors for JavaScript.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Thrown by every function of halfwave. */
export interface HalfwaveError extends Error {
    name: "HalfwaveError";
    /**
     * Category of the error. After a "device" error, or a "memory" error while training, the session cannot be used any
     * more, but its last checkpoint can.
     * After a "diverged" error, values of the run are not finite: restore a checkpoint, or reset the session.
     */
    kind: "recipe" | "data" | "checkpoint" | "device" | "memory" | "model" | "diverged" | "io" | "usage" | "stopped";
    /** The line of the recipe, counted from 1. */
    line?: number;
}
"#;

/// An error to be thrown in JavaScript.
#[derive(Debug)]
pub struct HalfwaveError(halfwave::Error);

impl<E: Into<halfwave::Error>> From<E> for HalfwaveError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl HalfwaveError {
    /// An error for an invalid argument.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        halfwave::Error::Usage(message.into()).into()
    }
}

impl From<HalfwaveError> for JsValue {
    fn from(HalfwaveError(error): HalfwaveError) -> Self {
        let kind = error.kind();
        // The line is a separate field.
        let (message, line) = match error {
            halfwave::Error::Recipe { message, line, .. } => (message, Some(line)),
            error => (error.to_string(), None),
        };
        let thrown = js_sys::Error::new(&message);
        thrown.set_name("HalfwaveError");
        // Setting a field of a fresh object cannot fail.
        let _ = js_sys::Reflect::set(&thrown, &"kind".into(), &kind.into());
        if let Some(line) = line {
            let _ = js_sys::Reflect::set(&thrown, &"line".into(), &(line as f64).into());
        }
        thrown.into()
    }
}
