//! Log lines for people: `2026-01-01T12:00:00.123Z  INFO roster::call done method=GetUser status=OK`.

use std::fmt::{self, Debug, Write as _};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{escape::Escaped, write_now};

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// The format; spans are not shown.
pub(super) struct Human {
    pub(super) colour: bool,
}

impl<S, N> FormatEvent<S, N> for Human
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (dim, reset) = if self.colour { (DIM, RESET) } else { ("", "") };
        let level = event.metadata().level();
        let colour = if self.colour { colour_of(*level) } else { "" };
        writer.write_str(dim)?;
        write_now(&mut writer, 3)?;
        write!(writer, "{reset} {colour}{level:>5}{reset} ")?;
        write!(writer, "{dim}{}{reset}", event.metadata().target())?;
        let mut fields = Fields { writer: &mut writer, dim, reset, scratch: String::new(), result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        writeln!(writer)
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    dim: &'static str,
    reset: &'static str,
    /// One value, escaped, before it is known whether it needs quotes.
    scratch: String,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn write(&mut self, field: &Field) -> fmt::Result {
        let value = &self.scratch;
        if field.name() == "message" {
            return write!(self.writer, " {value}");
        }
        write!(self.writer, " {}{}={}", self.dim, field.name(), self.reset)?;
        // Quotes where a value could be taken for the next field.
        if value.is_empty() || value.contains([' ', '=', '"']) {
            write!(self.writer, "\"{}\"", value.replace('"', "\\\""))
        } else {
            self.writer.write_str(value)
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.scratch.clear();
        self.result =
            self.result.and_then(|()| write!(Escaped(&mut self.scratch), "{value:?}")).and_then(|()| self.write(field));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
