//! The figures, for people and for programs.

use serde_json::{Value, json};

use super::{
    Bench,
    tally::{Calls, Tally},
    work::Kind,
};
use crate::{
    args::Format,
    error::Failure,
    output::{Cell, Output},
};

/// The shares of the calls whose times are shown, and what they are called.
const QUANTILES: [(f64, &str); 5] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p999"), (1.0, "max")];

/// Prints what was measured.
pub fn print(tally: &Tally, bench: &Bench, out: &mut Output) -> Result<(), Failure> {
    match out.format {
        Format::Json => out.text(&as_json(tally, bench).to_string())?,
        Format::Table => as_table(tally, bench, out)?,
    }
    out.flush()
}

fn called(tally: &Tally) -> impl Iterator<Item = (Kind, &Calls)> {
    let calls = Kind::ALL.into_iter().zip(&tally.calls);
    calls.filter(|(_, calls)| calls.done() + calls.failed() > 0)
}

fn as_table(tally: &Tally, bench: &Bench, out: &mut Output) -> Result<(), Failure> {
    let seconds = tally.elapsed.as_secs_f64();
    let header = ["CALL", "OK", "OK/S", "MESSAGES/S", "FAILED", "P50", "P90", "P99", "P99.9", "MAX"];
    let rows = called(tally).map(|(kind, calls)| {
        let failed = calls.failed().to_string();
        let mut row = vec![
            Cell::Plain(kind.name().into()),
            Cell::Plain(calls.done().to_string()),
            Cell::Plain(format!("{:.0}", calls.done() as f64 / seconds)),
            Cell::Plain(format!("{:.0}", calls.messages as f64 / seconds)),
            if calls.failed() == 0 { Cell::Good(failed) } else { Cell::Bad(failed) },
        ];
        row.extend(QUANTILES.map(|(quantile, _)| Cell::Plain(shown(calls, quantile))));
        row
    });
    out.table(&header, rows.collect())?;
    for (kind, calls) in called(tally) {
        for (error, count) in &calls.errors {
            out.note(&format!("{count} × {}: {error}", kind.name()))?;
        }
    }
    if tally.unsent > 0 {
        let why = "as many were under way as may be, so they never began: raise --concurrency, or lower --rate";
        out.note(&format!("{} calls were due and {why}", tally.unsent))?;
    }
    match bench.rate {
        Some(rate) => out.note(&format!("{seconds} s at {rate} calls/s; times count from when a call was due")),
        None => out.note(&format!("{seconds} s; each caller waited for its answer")),
    }
}

/// Such as `167 µs`; nothing if no call was done.
fn shown(calls: &Calls, quantile: f64) -> String {
    let seconds = calls.quantile(quantile);
    match seconds {
        _ if calls.done() == 0 => "-".into(),
        micro if micro < 1e-3 => format!("{:.0} µs", micro * 1e6),
        milli if milli < 1.0 => format!("{:.2} ms", milli * 1e3),
        whole => format!("{whole:.2} s"),
    }
}

fn as_json(tally: &Tally, bench: &Bench) -> Value {
    let seconds = tally.elapsed.as_secs_f64();
    let calls = called(tally).map(|(kind, calls)| {
        let times = QUANTILES.map(|(quantile, name)| (name.to_owned(), json!(calls.quantile(quantile))));
        json!({
            "method": kind.name(),
            "ok": calls.done(),
            "okPerSecond": calls.done() as f64 / seconds,
            "messagesPerSecond": calls.messages as f64 / seconds,
            "failed": calls.failed(),
            "errors": calls.errors,
            "seconds": if calls.done() == 0 { Value::Null } else { Value::Object(times.into_iter().collect()) },
        })
    });
    json!({
        "measuredSeconds": seconds,
        "loop": if bench.rate.is_some() { "open" } else { "closed" },
        "rate": bench.rate,
        "connections": bench.connections,
        "unsent": tally.unsent,
        "calls": calls.collect::<Vec<_>>(),
    })
}
