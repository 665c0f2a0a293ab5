//! Colours that are read on light and on dark terminals, and told apart by people who see colours otherwise (Okabe and Ito, 2008).
//!
//! They are fixed entries of the 256-colour table, because a theme may give the 16 named ones any contrast; each has a contrast of at least 3 to black and to white. All else is the terminal's own colour.

use ratatui::style::{Color, Modifier, Style};
use std::ffi::OsStr;

/// The styles of everything that is drawn.
pub(super) struct Palette {
    /// What is read first.
    pub(super) strong: Style,
    /// Names, axes, and what is only there to compare with.
    pub(super) faint: Style,
    pub(super) train: Style,
    pub(super) validation: Style,
    pub(super) test: Style,
    /// What wants attention.
    pub(super) warning: Style,
}

impl Palette {
    /// With colours or without: bold, dim and the shapes of lines must do then.
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

    /// As the user wishes (<https://no-color.org>, <https://bixense.com/clicolors>). CLICOLOR_FORCE is for output that goes to no terminal, where there is no view.
    pub(super) fn wished() -> Self {
        let is =
            |name: &str, unwanted: fn(&OsStr) -> bool| std::env::var_os(name).is_some_and(|value| unwanted(&value));
        Self::new(!is("NO_COLOR", |value| !value.is_empty()) && !is("CLICOLOR", |value| value == "0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG's contrast of an entry of the 256-colour table to black and to white.
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
