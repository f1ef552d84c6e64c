//! Logs: one line an event, on stderr, for people on a terminal and as JSON otherwise.
//!
//! Whatever a field holds, it cannot end its line, colour the terminal or turn text around: see
//! [`escape`]. Lines leave through a thread of their own, so a slow terminal or pipe never holds
//! up a call; when that thread cannot keep up, lines are dropped and not queued without end.

mod escape;
pub mod events;
#[cfg(test)]
mod events_tests;
mod human;
mod json;
mod sink;

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    env,
    io::{self, IsTerminal as _},
};

use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, fmt::MakeWriter, prelude::*, registry::LookupSpan, reload};

pub use escape::{Escaped, escape, is_safe};

use crate::{
    config::{LogFormat, LogLevel},
    model::{Clock as _, SystemClock},
};
use human::Human;
use json::Json;
use sink::{Guard, Sink};

/// Target of the one line that each call writes.
pub const CALL_TARGET: &str = "roster::call";

/// What is logged, and what may be changed of it. Keep it until the process ends: dropping it writes what waits.
#[derive(Debug)]
pub struct Log {
    _guard: Guard,
    level: LevelSwitch,
}

impl Log {
    /// What changes the level.
    #[must_use]
    pub fn level(&self) -> LevelSwitch {
        self.level.clone()
    }
}

/// Changes what is logged while the process runs; cheap to clone.
#[derive(Clone, Debug)]
pub struct LevelSwitch(reload::Handle<EnvFilter, Registry>);

impl LevelSwitch {
    /// Logs this from now on. Does nothing if the process logs by other means.
    pub fn set(&self, level: &LogLevel) {
        // Fails if there is no such filter any more.
        let _ = self.0.reload(filter(level));
    }
}

/// Starts logging to stderr. Does nothing more if the process logs already.
///
/// # Errors
/// There can be no more threads.
pub fn init(level: &LogLevel, format: LogFormat) -> io::Result<Log> {
    let terminal = io::stderr().is_terminal();
    let human = format == LogFormat::Human || (format == LogFormat::Auto && terminal);
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (filter, level) = reload::Layer::new(filter(level));
    let (sink, guard) = Sink::start(io::stderr())?;
    // Fails if a subscriber is there already; the first one stays.
    let _ = tracing_subscriber::registry().with(filter).with(layer(human, colour, sink)).try_init();
    Ok(Log { _guard: guard, level: LevelSwitch(level) })
}

/// What the setting says, except that notices of PostgreSQL are asked for by name: when it shuts down, it sends one on each
/// connection, and we tell what becomes of them ourselves.
fn filter(level: &LogLevel) -> EnvFilter {
    // The directives were checked when the level was parsed; the later of two for one target holds.
    EnvFilter::new(format!("tokio_postgres=error,{}", level.as_str()))
}

fn layer<S, W>(human: bool, colour: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    if human { layer.event_format(Human { colour }).boxed() } else { layer.event_format(Json).boxed() }
}

/// Writes the time in UTC with three or six decimals, always as many, so that lines align and sort as text.
fn write_now(out: &mut impl std::fmt::Write, decimals: usize) -> std::fmt::Result {
    const MICROS: i64 = 1_000_000;
    thread_local! {
        /// A second since the epoch and its text: thousands of lines share one.
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = SystemClock.now().0;
    let (second, micros) = (now.div_euclid(MICROS), now.rem_euclid(MICROS));
    SECOND.with_borrow_mut(|(of, text)| {
        if *of != second {
            let time = jiff::Timestamp::from_second(second).map(|time| format!("{time:.0}"));
            (*of, *text) = (second, time.unwrap_or_else(|_| second.to_string()).trim_end_matches('Z').to_owned());
        }
        out.write_str(text)
    })?;
    if decimals == 3 { write!(out, ".{:03}Z", micros / 1_000) } else { write!(out, ".{micros:06}Z") }
}
