//! The table of events against the code: each event that is logged is in it, and the other way round.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::events::{CALL, EVENTS, Event, Level, reference};

/// Level, text and fields.
type Shape = (String, String, Vec<String>);

fn shape(event: &Event) -> Shape {
    let level = Level::ALL.iter().find(|(level, ..)| *level == event.level).unwrap().1;
    (level.into(), event.text.into(), event.fields.iter().map(|field| (*field).to_owned()).collect())
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("telemetry/tests.rs") {
            found.push(path);
        }
    }
}

/// The arguments of a macro's call, which `text` begins with: split at commas that are in no parentheses and no string.
fn arguments(text: &str) -> Vec<String> {
    let (mut arguments, mut argument, mut depth, mut chars) = (Vec::new(), String::new(), 0, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                argument.push(c);
                while let Some(c) = chars.next() {
                    argument.push(c);
                    match c {
                        '\\' => argument.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(std::mem::take(&mut argument));
                continue;
            }
            _ => {}
        }
        argument.push(c);
    }
    arguments.push(argument);
    arguments.into_iter().map(|argument| argument.trim().to_owned()).filter(|argument| !argument.is_empty()).collect()
}

/// What `arguments` of an event log.
fn logged(level: &str, arguments: &[String]) -> Shape {
    let (mut text, mut fields) = (String::new(), Vec::new());
    for argument in arguments {
        if let Some(literal) = argument.strip_prefix('"') {
            text = literal.trim_end_matches('"').to_owned();
        } else if !argument.starts_with("target:") {
            let name = argument.split('=').next().unwrap().trim();
            fields.push(name.trim_start_matches(['%', '?']).to_owned());
        }
    }
    (level.to_owned(), text, fields)
}

#[test]
fn every_event_is_in_the_table_and_the_other_way_round() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "../cli/src", "../api/src"] {
        sources(&here.join(folder), &mut files);
    }
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (_, level, _) in Level::ALL.into_iter().chain([(Level::Debug, "trace", "")]) {
            let call = format!("tracing::{level}!(");
            found.extend(text.split(&call).skip(1).map(|rest| logged(level, &arguments(rest))));
        }
    }
    let known: BTreeSet<_> = EVENTS.iter().chain([&CALL]).map(shape).collect();
    assert!(found.contains(&shape(&CALL)), "the event of calls");
    let missing: Vec<_> = found.difference(&known).collect();
    assert!(missing.is_empty(), "not in telemetry/events.rs: {missing:#?}");
    let stale: Vec<_> = known.difference(&found).collect();
    assert!(stale.is_empty(), "in telemetry/events.rs, but nobody logs it: {stale:#?}");
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/logs.md");
    let page = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/logs.md is out of date: UPDATE_DOCS=1 cargo test -p roster-server --lib telemetry");
}
