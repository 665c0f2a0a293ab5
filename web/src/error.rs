//! Errors as JavaScript throws them.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What every function of halfwave throws. */
export interface HalfwaveError extends Error {
    name: "HalfwaveError";
    /** What it is about; after a "device" error the session is over, its last checkpoint is not. */
    kind: "recipe" | "data" | "checkpoint" | "device" | "model" | "usage";
    /** The line of the recipe, counted from 1. */
    line?: number;
}
"#;

/// An error on its way to JavaScript.
#[derive(Debug)]
pub struct HalfwaveError(halfwave::Error);

impl<E: Into<halfwave::Error>> From<E> for HalfwaveError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl HalfwaveError {
    /// An argument that cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self(halfwave::Error::Usage(message.into()))
    }
}

impl From<HalfwaveError> for JsValue {
    fn from(HalfwaveError(error): HalfwaveError) -> Self {
        use halfwave::Error;
        let (kind, line) = match &error {
            Error::Recipe { line, .. } => ("recipe", Some(*line)),
            Error::Data(_) | Error::Io { .. } => ("data", None),
            Error::Checkpoint { .. } => ("checkpoint", None),
            Error::Device(_) => ("device", None),
            Error::Model(_) => ("model", None),
            Error::Usage(_) | Error::Stopped => ("usage", None),
        };
        // The line is a field of its own.
        let message = match error {
            Error::Recipe { message, .. } => message,
            error => error.to_string(),
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
