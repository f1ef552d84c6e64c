//! How far it is: a line on the terminal that is written over, with rate and time left.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(200);

/// The line. Nothing where stderr is no terminal.
pub struct Progress {
    shown: bool,
    begun: Instant,
    written: Option<Instant>,
}

impl Progress {
    pub fn start() -> Self {
        Self { shown: stderr().is_terminal(), begun: Instant::now(), written: None }
    }

    /// Shows how many there are, and how much of the whole, from 0 to 1, if that is known.
    pub fn show(&mut self, count: u64, what: &str, part: Option<f64>) {
        if !self.shown || self.written.is_some_and(|written| written.elapsed() < EVERY) {
            return;
        }
        self.written = Some(Instant::now());
        let line = line(count, what, part, self.begun.elapsed());
        // Without stderr there is nobody to show it to.
        let _ = write!(stderr(), "\r\x1b[K{line}");
    }

    /// Shows what goes on that has no count.
    pub fn stage(&mut self, what: &str) {
        if self.shown {
            self.written = Some(Instant::now());
            let _ = write!(stderr(), "\r\x1b[K{what}");
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.written.take().is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }

    /// How long it has taken.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

fn line(count: u64, what: &str, part: Option<f64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let mut line = format!("{} {what}, {}/s", grouped(count), grouped((count as f64 / seconds) as u64));
    if let Some(part) = part.filter(|part| *part > 0.0) {
        let left = Duration::from_secs_f64((seconds / part - seconds).clamp(0.0, 1e9)).as_secs();
        line.push_str(&format!(", {:.0} %, {}:{:02} left", part.min(1.0) * 100.0, left / 60, left % 60));
    }
    line
}

/// A number with a comma between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_how_fast_and_how_long() {
        let at = |part| line(1_234_567, "rows", part, Duration::from_secs(60));
        assert_eq!(at(None), "1,234,567 rows, 20,576/s");
        assert_eq!(at(Some(0.25)), "1,234,567 rows, 20,576/s, 25 %, 3:00 left");
        assert_eq!(grouped(999), "999");
    }
}
