//! Log lines for programs: one JSON object a line, `timestamp`, `level` and `target` first, then the fields.

use std::fmt::{self, Debug, Write as _};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{
    escape::{is_safe, write_runs},
    write_now,
};

/// The format; spans are not shown.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        writer.write_str(r#"{"timestamp":""#)?;
        write_now(&mut writer, 6)?;
        for part in [r#"","level":""#, level.as_str(), r#"","target":""#] {
            writer.write_str(part)?;
        }
        JsonText(&mut writer).write_str(target)?;
        writer.write_char('"')?;
        let mut fields = Fields { writer: &mut writer, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        writer.write_str("}\n")
    }
}

/// The inside of a JSON string ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259#section-7)). More
/// is escaped than JSON asks for, so that a line can be shown on a terminal.
struct JsonText<W>(W);

impl<W: fmt::Write> fmt::Write for JsonText<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = |c| is_safe(c) && c != '"' && c != '\\';
        // All that is escaped lies in the basic plane, so four digits are enough.
        write_runs(&mut self.0, text, plain, |out, c| write!(out, "\\u{:04x}", u32::from(c)))
    }
}

struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    /// Writes a field, whose value `write` writes.
    fn field(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        self.result = self.result.and_then(|()| {
            // A field must not pass for what the line itself says.
            let prefix = if matches!(field.name(), "timestamp" | "level" | "target") { "field." } else { "" };
            self.writer.write_str(",\"")?;
            self.writer.write_str(prefix)?;
            JsonText(&mut *self.writer).write_str(field.name())?;
            self.writer.write_str("\":")?;
            write(self.writer)
        });
    }

    fn text(&mut self, field: &Field, write: impl FnOnce(&mut JsonText<&mut Writer<'_>>) -> fmt::Result) {
        self.field(field, |writer| {
            writer.write_char('"')?;
            write(&mut JsonText(&mut *writer))?;
            writer.write_char('"')
        });
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, |text| write!(text, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, |text| text.write_str(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity.
        if value.is_finite() {
            self.field(field, |writer| write!(writer, "{value}"));
        } else {
            self.text(field, |text| write!(text, "{value}"));
        }
    }
}
