//! Writes `docs/metrics.md` from the table of families.

use std::fmt::Write as _;

use super::names::{ALL, Kind};

const HEAD: &str = "\
<!-- Written from crates/server/src/metrics/names.rs by `UPDATE_DOCS=1 cargo test -p roster-server --test it metrics`. -->

# Metrics

`/metrics` on the HTTP port has them in Prometheus' text format. Durations are in seconds. Labels come from fixed sets:
methods, statuses, names of commands and queues. No label holds anything from outside, so the number of series is
bounded; a method that was never called has none.

A part that a server does not have, such as a search that nobody made, has no series until it has something to tell.

";

/// The page `docs/metrics.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = format!("{HEAD}| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
    }
    page
}
