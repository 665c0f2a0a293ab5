//! Determines classes and splits of a folder of pictures for JavaScript, by the native program's
//! rules.

use crate::{Result, to_js};
use halfwave::data::{self, Part};
use serde::Serialize;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

/// Structure of a folder of pictures, from their paths.
#[derive(Tsify, Serialize)]
pub struct Layout {
    /// Names of the classes, ordered.
    pub classes: Vec<String>,
    /// Class and split of each picture, in the order in which the paths were given.
    pub places: Vec<Place>,
}

/// Class and split of a picture, or why it is left out.
#[derive(Tsify, Serialize, Clone, Default)]
pub struct Place {
    /// Index of the class; undefined for a picture that is left out.
    pub class: Option<usize>,
    /// The split; undefined if the folder has no splits, and a share of every class is to be used
    /// for testing.
    #[tsify(type = "\"train\" | \"validation\" | \"test\" | undefined")]
    pub part: Option<&'static str>,
    /// Reason for leaving it out.
    pub why: Option<String>,
}

impl From<Result<data::Place, String>> for Place {
    fn from(place: Result<data::Place, String>) -> Self {
        match place {
            Ok(data::Place { class, part }) => {
                let part = part.map(|part| match part {
                    Part::Train => "train",
                    Part::Validation => "validation",
                    Part::Test => "test",
                });
                Self { class: Some(class), part, why: None }
            }
            Err(why) => Self { why: Some(why), ..Self::default() },
        }
    }
}

/// Determines the classes and splits of a folder from the paths of its pictures, with slashes and
/// in any order: `<class>/…`, or `train/<class>/…` beside `val/` and `test/`. Leave out paths for
/// which `isSystem` is true. Throws if the structure is ambiguous.
#[wasm_bindgen(unchecked_return_type = "Layout")]
pub fn arrange(paths: Vec<String>) -> Result<JsValue> {
    let mut order: Vec<usize> = (0..paths.len()).collect();
    order.sort_by_key(|&at| &paths[at]);
    let sorted: Vec<&str> = order.iter().map(|&at| paths[at].as_str()).collect();
    let found = data::arrange(&sorted).map_err(halfwave::Error::Data)?;
    let mut places = vec![Place::default(); paths.len()];
    for (at, place) in order.into_iter().zip(found.places) {
        places[at] = place.into();
    }
    Ok(to_js(&Layout { classes: found.classes, places }))
}

/// Whether an operating system or a tool created the file with this path, or a folder in the path:
/// `.DS_Store`, `__MACOSX/…`.
#[wasm_bindgen(js_name = isSystem)]
pub fn is_system(path: &str) -> bool {
    path.split('/').any(data::is_system)
}
