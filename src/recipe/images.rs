//! Keys of `[data]` for the normalisation of bytes, and `[data.augment]`.

use super::table::Table;
use super::write::Toml;
use super::{Augment, Data, Padding};
use crate::Result;

/// Keys of `[data]` that this file reads.
pub(super) const KEYS: [&str; 4] = ["mean", "std", "mean_image", "augment"];

/// Keys of `[data.augment]`.
const AUGMENT: [&str; 4] = ["pad", "padding", "mirror", "cutout"];

const PADDINGS: [(&str, Padding); 3] =
    [("zero", Padding::Zero), ("replicate", Padding::Replicate), ("reflect", Padding::Reflect)];

/// Mean and standard deviation of each channel, and whether the mean image is subtracted.
pub(super) struct Normalisation {
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
    pub(super) mean_image: bool,
}

/// Reads the normalisation of pixels, for images with `channels` channels.
pub(super) fn normalisation(table: &Table<'_>, channels: usize) -> Result<Normalisation> {
    let each = |key, fits, what: &str| {
        let wanted = format!("give a list of {channels}, {what} for each channel");
        Ok::<_, crate::Error>(table.each(key, channels, fits, &wanted)?.unwrap_or_default())
    };
    Ok(Normalisation {
        mean: each("mean", |_| true, "the mean subtracted from a scaled pixel")?,
        std: each("std", |v| v > 0.0, "a number above 0 to divide by afterwards")?,
        mean_image: table.flag("mean_image")?.unwrap_or(false),
    })
}

/// Reads `[data.augment]`, for images stored with these rows and columns.
pub(super) fn augment(data: &Table<'_>, [h, w]: [usize; 2]) -> Result<Augment> {
    let Some(table) = data.table("augment", "[data.augment]", &AUGMENT)? else { return Ok(Augment::default()) };
    let side = h.min(w) as u64;
    let augment = Augment {
        pad: table.integer("pad", 0..=side)?.unwrap_or(0) as usize,
        padding: table.word("padding", &PADDINGS)?.unwrap_or_default(),
        mirror: table.flag("mirror")?.unwrap_or(false),
        cutout: table.integer("cutout", 0..=2 * side)?.unwrap_or(0) as usize,
    };
    if augment.padding == Padding::Reflect && augment.pad as u64 >= side {
        return Err(table.bad("pad", &format!("images of {h} × {w} pixels can reflect at most {} of them", side - 1)));
    }
    Ok(augment)
}

/// Writes the normalisation of pixels.
pub(super) fn write_normalisation(toml: &mut Toml, data: &Data) {
    for (key, numbers) in [("mean", &data.mean), ("std", &data.std)] {
        if !numbers.is_empty() {
            toml.line(key, format!("{numbers:?}"));
        }
    }
    toml.line("mean_image", data.mean_image);
}

/// Writes `[data.augment]`.
pub(super) fn write_augment(toml: &mut Toml, augment: &Augment) {
    let Augment { pad, padding, mirror, cutout } = *augment;
    toml.heading("[data.augment]");
    toml.line("pad", pad);
    let (name, _) = PADDINGS.iter().find(|(_, known)| *known == padding).expect("every padding has a word");
    toml.word("padding", name);
    toml.line("mirror", mirror);
    toml.line("cutout", cutout);
}
