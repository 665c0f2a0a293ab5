//! Colours that are legible on light and dark terminals, and distinguishable with colour vision
//! deficiency (Okabe and Ito, 2008).
//!
//! They are fixed entries of the 256-colour table, because a theme may give the 16 named colours
//! any contrast; each has a contrast of at least 3 to black and to white. Everything else uses the
//! terminal's default colour.

use ratatui::style::{Color, Modifier, Style};
use std::ffi::OsStr;

/// The styles of all elements.
pub(super) struct Palette {
    /// Emphasised text.
    pub(super) strong: Style,
    /// Labels, axes and reference values.
    pub(super) faint: Style,
    pub(super) train: Style,
    pub(super) validation: Style,
    pub(super) test: Style,
    /// Warnings.
    pub(super) warning: Style,
}

impl Palette {
    /// Creates the palette with or without colours; without them, bold, dim and the shapes of lines
    /// distinguish elements.
    pub(super) fn new(colours: bool) -> Self {
        let of = |index: u8| if colours { Style::new().fg(Color::Indexed(index)) } else { Style::new() };
        Self {
            strong: Style::new().add_modifier(Modifier::BOLD),
            faint: if colours { of(244) } else { Style::new().add_modifier(Modifier::DIM) },
            train: of(32),
            validation: of(29),
            test: of(166),
            warning: of(166).add_modifier(Modifier::BOLD),
        }
    }

    /// Creates the palette that the environment asks for (<https://no-color.org>,
    /// <https://bixense.com/clicolors>).
    ///
    /// CLICOLOR_FORCE is for output that is not a terminal, where there is no view.
    pub(super) fn wished() -> Self {
        let is =
            |name: &str, unwanted: fn(&OsStr) -> bool| std::env::var_os(name).is_some_and(|value| unwanted(&value));
        Self::new(!is("NO_COLOR", |value| !value.is_empty()) && !is("CLICOLOR", |value| value == "0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the WCAG contrasts of an entry of the 256-colour table to black and to white.
    fn contrasts(index: u8) -> [f64; 2] {
        let cube = |level: u8| if level == 0 { 0.0 } else { f64::from(55 + 40 * level) };
        let rgb = match index {
            232.. => [f64::from(8 + 10 * (index - 232)); 3],
            _ => [(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6].map(cube),
        };
        let [r, g, b] = rgb.map(|v| if v <= 10.0 { v / 3294.6 } else { ((v / 255.0 + 0.055) / 1.055).powf(2.4) });
        let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        [(luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)]
    }

    #[test]
    fn colours_are_legible_on_black_and_on_white() {
        let palette = Palette::new(true);
        for style in [palette.faint, palette.train, palette.validation, palette.test, palette.warning] {
            let Some(Color::Indexed(index)) = style.fg else { panic!("{style:?} has no colour") };
            assert!(contrasts(index).iter().all(|&contrast| contrast >= 3.0), "{index}: {:?}", contrasts(index));
        }
    }

    #[test]
    fn without_colours_there_are_none() {
        let p = Palette::new(false);
        assert!([p.strong, p.faint, p.train, p.validation, p.test, p.warning].iter().all(|style| style.fg.is_none()));
    }
}
