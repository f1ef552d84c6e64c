//! The table that is printed.

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

/// What a goal asks of the compared figure.
#[derive(Clone, Copy)]
pub enum Floor {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing: for information.
    None,
}

/// One line.
pub struct Row {
    pub goal: u32,
    pub what: String,
    pub measured: String,
    pub limit: String,
    /// What is compared with the floor: a ratio, or the measured figure itself in the unit that `what` names.
    pub figure: f64,
    pub floor: Floor,
}

/// The rows as a table.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["goal", "what", "measured", "limit", "figure", "floor", ""]);
    for row in rows {
        let (floor, verdict) = match row.floor {
            Floor::AtLeast(floor) => (format!("≥ {floor}"), if row.figure >= floor { "ok" } else { "below" }),
            Floor::AtMost(floor) => (format!("≤ {floor}"), if row.figure <= floor { "ok" } else { "above" }),
            Floor::None => (String::new(), ""),
        };
        let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            right(&row.goal.to_string()),
            Cell::new(&row.what),
            right(&row.measured),
            right(&row.limit),
            right(&format!("{:.2}", row.figure)),
            right(&floor),
            Cell::new(verdict),
        ]);
    }
    table
}

/// The middle one; of an even number the upper of the two.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Such as `230.1k/s` from 230,100.
pub fn rate(per_second: f64, unit: &str) -> String {
    match per_second {
        million if million >= 1e6 => format!("{:.2}M {unit}", million / 1e6),
        thousand if thousand >= 1e3 => format!("{:.1}k {unit}", thousand / 1e3),
        few => format!("{few:.0} {unit}"),
    }
}

/// Such as `167 µs` or `12.3 ms` from seconds.
pub fn time(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}
