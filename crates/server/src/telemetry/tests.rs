//! No value of any field can break a line, colour the terminal, or pass for another field.

use std::{
    io,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use tracing_subscriber::prelude::*;

use super::{escape, filter, is_safe, layer};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `write` logs.
fn logged(human: bool, colour: bool, write: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let subscriber = tracing_subscriber::registry().with(layer(human, colour, move || writer.clone()));
    tracing::subscriber::with_default(subscriber, write);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn one_safe_line(text: &str) -> &str {
    let line = text.strip_suffix('\n').expect("ends in a line feed");
    assert!(line.chars().all(is_safe), "{line:?}");
    line
}

#[derive(Debug)]
#[expect(dead_code, reason = "only its debug text is used")]
struct Wrapped<'a>(&'a str);

fn log_everywhere(text: &str) {
    tracing::info!(text, display = %text, debug = ?Wrapped(text), n = -3, x = 0.5, nan = f64::NAN, ok = true, level = text, "{text}");
}

proptest! {
    #[test]
    fn any_text_stays_on_its_line(text in "(?s)(.|[\u{0}-\u{1f}\u{7f}-\u{9f}\"\\\\\u{2028}\u{202e}]){0,40}") {
        one_safe_line(&logged(true, false, || log_everywhere(&text)));

        let line = logged(false, false, || log_everywhere(&text));
        let object: serde_json::Value = serde_json::from_str(one_safe_line(&line)).unwrap();
        prop_assert_eq!(&object["text"], &text);
        prop_assert_eq!(&object["display"], &text);
        prop_assert_eq!(&object["message"], &text);
        prop_assert_eq!(&object["field.level"], &text);
        prop_assert_eq!(&object["debug"], &format!("{:?}", Wrapped(&text)));
        prop_assert_eq!(&object["level"], "INFO");
        prop_assert!(object["n"] == -3 && object["x"] == 0.5 && object["nan"] == "NaN" && object["ok"] == true);

        prop_assert!(escape(&text).chars().all(is_safe));
    }
}

#[test]
fn a_line_for_people() {
    let line = logged(true, false, || {
        tracing::warn!(target: super::CALL_TARGET, method = "GetUser", agent = "a b=\"c\"\x1b[31m", empty = "", "done");
    });
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!(time.len(), "2026-01-01T12:00:00.123Z".len(), "{time}");
    assert_eq!(rest, " WARN roster::call done method=GetUser agent=\"a b=\\\"c\\\"\\u{1b}[31m\" empty=\"\"\n");
    let coloured = logged(true, true, || tracing::error!("x\x1b[0m"));
    assert!(coloured.contains("\x1b[31mERROR\x1b[0m") && coloured.ends_with("x\\u{1b}[0m\n"), "{coloured:?}");
}

#[test]
fn notices_of_postgresql_are_logged_where_they_are_asked_for() {
    let lines = |level: &str| {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layers = layer(false, false, move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(filter(&level.parse().unwrap())).with(layers);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "tokio_postgres::connection", "WARNING: terminating connection");
            tracing::error!(target: "tokio_postgres::connection", "an error");
            tracing::info!(target: "roster_server", "ours");
        });
        buffer.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count()
    };
    assert_eq!((lines("info"), lines("warn,tokio_postgres=info"), lines("info,tokio_postgres=off")), (2, 2, 1));
}
