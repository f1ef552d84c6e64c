//! What `deploy/` asks Prometheus for is what a server exports.

use std::{collections::BTreeSet, fs, path::PathBuf};

use roster_server::metrics::{Kind, names::ALL};
use serde_json::Value;

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
    let dashboard: Value = serde_json::from_str(&text).unwrap();
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

/// Every panel of the dashboard.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&deployed("grafana/roster.json")).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// The words between `start` and `end`, wherever these are in a text.
fn between<'a>(text: &'a str, start: &str, end: &str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(move |rest| rest.split_once(end)).flat_map(|(inner, _)| inner.split(", "))
}

/// Prometheus takes both without a word: a group by a label that a metric lacks is all of it, and a legend of one that is
/// not in the answer has no name.
#[test]
fn legends_and_groups_are_of_labels_that_are_there() {
    for panel in panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let (query, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
            let names = words(query);
            let asked = ALL.iter().filter(|metric| {
                ["", "_bucket", "_sum", "_count"]
                    .iter()
                    .any(|suffix| names.contains(&*format!("{}{suffix}", metric.name)))
            });
            // Those that Prometheus adds, and that of a histogram's buckets.
            let mut labels = BTreeSet::from(["instance", "job", "le"]);
            labels.extend(asked.flat_map(|metric| metric.labels));
            let groups: BTreeSet<_> = between(query, "by (", ")").collect();
            assert!(groups.is_subset(&labels), "{query} groups by {groups:?}");
            let shown: BTreeSet<_> = between(legend, "{{", "}}").collect();
            assert!(shown.is_subset(&groups), "{legend} of {query}");
        }
    }
}

#[test]
fn panels_lie_beside_one_another() {
    let panels = panels();
    let places = panels.iter().map(|panel| {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        (panel["title"].as_str().unwrap(), x..x + w, y..y + h)
    });
    let places: Vec<_> = places.collect();
    for (at, (title, across, down)) in places.iter().enumerate() {
        assert!(across.end <= 24, "{title} goes beyond the right edge");
        for (other, its_across, its_down) in &places[at + 1..] {
            let apart = across.end <= its_across.start
                || its_across.end <= across.start
                || down.end <= its_down.start
                || its_down.end <= down.start;
            assert!(apart, "{title} and {other} lie on one another");
        }
    }
}
