//! Colours, and when to use them.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use crate::args::Color;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether it is.
    pub on: bool,
}

impl Style {
    /// No colours.
    #[cfg(test)]
    pub const PLAIN: Self = Self { on: false };

    /// For what is written to stdout.
    pub fn for_stdout(color: Color) -> Self {
        Self::choose(color, io::stdout().is_terminal())
    }

    /// For what is written to stderr.
    pub fn for_stderr(color: Color) -> Self {
        Self::choose(color, io::stderr().is_terminal())
    }

    /// See <https://no-color.org>: an empty NO_COLOR says nothing, and a flag says more than it.
    fn choose(color: Color, terminal: bool) -> Self {
        let on = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { on }
    }

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What may be overlooked.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Failures.
    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Warnings.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// What is well.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What to type.
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
