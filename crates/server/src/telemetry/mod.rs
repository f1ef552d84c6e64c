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

#[cfg(test)]
mod tests;

use std::{
    env,
    io::{self, BufWriter, IsTerminal as _},
};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, fmt::MakeWriter, prelude::*, registry::LookupSpan, reload};

pub use escape::{Escaped, escape, is_safe};

use crate::{
    config::{LogFormat, LogLevel},
    model::{Clock as _, SystemClock},
};
use human::Human;
use json::Json;

/// Target of the one line that each call writes.
pub const CALL_TARGET: &str = "roster::call";

/// Lines that may wait to be written; further ones are dropped.
const LINES_WAITING_MAX: usize = 16_384;

/// Bytes of lines that are written at once, at most.
const WRITE_BYTES: usize = 64 * 1024;

/// What is logged, and what may be changed of it. Keep it until the process ends: dropping it writes what waits.
#[derive(Debug)]
pub struct Log {
    _guard: WorkerGuard,
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
pub fn init(level: &LogLevel, format: LogFormat) -> Log {
    let terminal = io::stderr().is_terminal();
    let human = format == LogFormat::Human || (format == LogFormat::Auto && terminal);
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("roster-log")
        // Written out when no line waits any more.
        .finish(BufWriter::with_capacity(WRITE_BYTES, io::stderr()));
    let (filter, level) = reload::Layer::new(filter(level));
    // Fails if a subscriber is there already; the first one stays.
    let _ = tracing_subscriber::registry().with(filter).with(layer(human, colour, writer)).try_init();
    Log { _guard: guard, level: LevelSwitch(level) }
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

/// The time in UTC, always with as many decimals, so that lines align and sort as text.
fn now(decimals: usize) -> String {
    let now = SystemClock.now();
    jiff::Timestamp::from_microsecond(now.0).map_or_else(|_| now.to_string(), |time| format!("{time:.decimals$}"))
}
