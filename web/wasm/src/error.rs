//! Errors for JavaScript.

use halfwave::train::Trainer;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Thrown by every function of halfwave. */
export interface HalfwaveError extends Error {
    name: "HalfwaveError";
    /**
     * Category of the error. After a "device" error the session cannot be used any more, but its last checkpoint can.
     * After a "diverged" error, values of the run are not finite: restore a checkpoint, or reset the session.
     */
    kind: "recipe" | "data" | "checkpoint" | "device" | "model" | "diverged" | "usage";
    /** The line of the recipe, counted from 1. */
    line?: number;
}
"#;

/// An error to be thrown in JavaScript.
#[derive(Debug)]
pub struct HalfwaveError {
    error: halfwave::Error,
    diverged: bool,
}

impl<E: Into<halfwave::Error>> From<E> for HalfwaveError {
    fn from(error: E) -> Self {
        Self { error: error.into(), diverged: false }
    }
}

impl HalfwaveError {
    /// An error for an invalid argument.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        halfwave::Error::Usage(message.into()).into()
    }

    /// An error thrown during training.
    pub(crate) fn of(trainer: &Trainer, error: halfwave::Error) -> Self {
        let diverged = matches!(error, halfwave::Error::Model(_)) && trainer.diverged().is_some();
        Self { error, diverged }
    }
}

impl From<HalfwaveError> for JsValue {
    fn from(HalfwaveError { error, diverged }: HalfwaveError) -> Self {
        use halfwave::Error;
        let (kind, line) = match &error {
            Error::Recipe { line, .. } => ("recipe", Some(*line)),
            Error::Data(_) | Error::Io { .. } => ("data", None),
            Error::Checkpoint { .. } => ("checkpoint", None),
            Error::Device(_) => ("device", None),
            Error::Model(_) if diverged => ("diverged", None),
            Error::Model(_) => ("model", None),
            Error::Usage(_) | Error::Stopped => ("usage", None),
        };
        // The line is a separate field.
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
