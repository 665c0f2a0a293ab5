//! Errors as JavaScript throws them.

use halfwave::train::Trainer;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What every function of halfwave throws. */
export interface HalfwaveError extends Error {
    name: "HalfwaveError";
    /**
     * What it is about. After a "device" error the session is over, its last checkpoint is not. After a "diverged" error,
     * numbers of the run are not finite: restore a checkpoint, or reset the session.
     */
    kind: "recipe" | "data" | "checkpoint" | "device" | "model" | "diverged" | "usage";
    /** The line of the recipe, counted from 1. */
    line?: number;
}
"#;

/// An error on its way to JavaScript.
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
    /// An argument that cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        halfwave::Error::Usage(message.into()).into()
    }

    /// What a run throws while it trains.
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
