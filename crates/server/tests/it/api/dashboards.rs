//! What `deploy/` asks Prometheus for is what a server exports.

use std::{collections::BTreeSet, fs, path::PathBuf};

use roster_server::metrics::{Kind, names::ALL};

fn deployed(file: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)).unwrap()
}

/// The names of our metrics in a text, and of the labels that it compares or groups by.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect()
}

/// Every name that Prometheus has for our metrics.
fn series() -> BTreeSet<String> {
    let names = ALL.iter().flat_map(|metric| {
        let suffixes: &[&str] = if metric.kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        suffixes.iter().map(|suffix| format!("{}{suffix}", metric.name))
    });
    names.collect()
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_are_there() {
    let series = series();
    for file in ["grafana/roster.json", "prometheus/alerts.yaml", "prometheus/alerts.test.yaml"] {
        let text = deployed(file);
        let asked: Vec<_> = words(&text)
            .into_iter()
            .filter(|word| word.starts_with("roster_") || word.starts_with("process_"))
            .collect();
        assert!(asked.len() > 4, "{file} asks for {asked:?}");
        let unknown: Vec<_> = asked.into_iter().filter(|name| !series.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}, which no server exports");
    }
}

#[test]
fn the_dashboard_shows_every_family() {
    let text = deployed("grafana/roster.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let shown = words(&text);
    let has =
        |name: &str| ["", "_bucket", "_sum", "_count"].iter().any(|suffix| shown.contains(&*format!("{name}{suffix}")));
    let missing: Vec<_> = ALL.iter().map(|metric| metric.name).filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "not on the dashboard: {missing:?}");
    // Ids of panels are their own, and every question is one to the chosen source.
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{target}");
    }
}
