//! What `deploy/` and the image set is what the server takes, and gives it the time that it needs to stop.

use std::{
    fs,
    path::{Path, PathBuf},
};

use roster_server::config::{
    Config, Setting,
    settings::{OTHER_VARIABLES, SETTINGS},
};

/// A setting's variable and what a file gives it.
type Variable = (String, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Every name in `text` that starts as our variables do, with what follows it on its line.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().flat_map(|line| {
        line.match_indices("ROSTER_").map(|(start, _)| {
            let rest = &line[start..];
            rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len()))
        })
    })
}

/// What a file sets, as `NAME=VALUE` or as YAML. Comments set nothing.
fn variables(text: &str) -> Vec<Variable> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let pairs = lines.flat_map(named).filter_map(|(name, rest)| {
        let value = rest.strip_prefix('=').or_else(|| rest.strip_prefix(": "))?;
        Some((name.to_owned(), value.trim_end_matches('\\').trim().trim_matches('"').to_owned()))
    });
    pairs.collect()
}

/// What the server makes of a file. Where its TLS comes from elsewhere, plain text will do.
#[track_caller]
fn config(path: &str, toml: &str) -> Config {
    let given = variables(&read(path));
    assert!(given.len() >= 2, "{path} sets {given:?}");
    let plain = [("insecure_plaintext", "true".to_owned())];
    Config::load(Some(("roster.toml", toml)), given, plain).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The whole number that follows `key`.
#[track_caller]
fn number(text: &str, key: &str) -> u64 {
    let rest = text.split_once(key).unwrap_or_else(|| panic!("no {key}")).1.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().unwrap()
}

#[test]
fn every_variable_exists() {
    let known = |name: &str| {
        SETTINGS.iter().any(|setting| setting.env_name() == name)
            || OTHER_VARIABLES.iter().any(|(other, _)| *other == name)
            // The prefix itself, where a comment speaks of all of them.
            || name == "ROSTER_"
    };
    let mut found = 0;
    for path in files(&root().join("deploy")).into_iter().chain([root().join("Dockerfile")]) {
        let text = fs::read_to_string(&path).unwrap();
        for (name, _) in named(&text) {
            assert!(known(name), "{} names {name}, which is no setting", path.display());
            found += 1;
        }
    }
    assert!(found >= 15, "only {found} variables were found");
}

#[test]
fn every_value_is_taken() {
    let image = config("Dockerfile", "");
    assert_eq!(image.operator_socket.to_string(), "/run/roster/roster.sock");
    assert!(config("deploy/compose.yaml", "").smtp_url.is_some());
    assert!(config("deploy/kubernetes/roster.env", "").tls_files().is_some());
    assert!(config("deploy/systemd/roster.service", &read("deploy/systemd/roster.toml")).tls_files().is_some());
}

#[test]
fn every_setting_of_a_secret_exists() {
    for path in ["deploy/compose-secrets", "deploy/kubernetes/secret.example.yaml"] {
        let text = read(path);
        let keys: Vec<&str> = text.lines().filter_map(|line| Some(line.trim().split_once(" = \"")?.0)).collect();
        assert!(keys.contains(&"database_url"), "{path}: {keys:?}");
        for key in keys {
            assert!(Setting::find(key).is_some(), "{path} sets {key}, which is no setting");
        }
    }
}

#[test]
fn nothing_is_killed_that_still_drains() {
    let compose = config("deploy/compose.yaml", "").drain_grace.as_secs();
    assert!(number(&read("deploy/compose.yaml"), "stop_grace_period:") > compose);

    let unit = config("deploy/systemd/roster.service", &read("deploy/systemd/roster.toml")).drain_grace.as_secs();
    assert!(number(&read("deploy/systemd/roster.service"), "\nTimeoutStopSec=") > unit);

    let pod = config("deploy/kubernetes/roster.env", "").drain_grace.as_secs();
    let deployment = read("deploy/kubernetes/deployment.yaml");
    let wait = number(&deployment, "sleep: { seconds:");
    assert!(number(&deployment, "terminationGracePeriodSeconds:") > wait + pod);
}

#[test]
fn the_image_is_built_with_the_rust_that_the_workspace_asks_for() {
    let manifest = read("Cargo.toml");
    let version = manifest.split_once("rust-version = \"").unwrap().1.split('"').next().unwrap();
    assert!(read("Dockerfile").contains(&format!("\nARG RUST={version}\n")), "rust-version is {version}");
}
