//! Every event that the server logs. `docs/logs.md` is made from this table, and a test holds it against the code.

use std::fmt::Write as _;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken, and somebody should look.
    Error,
    /// Something does not work as it should, and the server goes on.
    Warn,
    /// What an operator may want to know.
    Info,
    /// For who looks for a fault.
    Debug,
}

impl Level {
    /// All of them, as they are in the code, and what the reference says of them.
    pub const ALL: [(Self, &str, &str); 4] = [
        (Self::Error, "error", "Something is broken: look at it."),
        (Self::Warn, "warn", "Something does not work as it should, and the server goes on."),
        (Self::Info, "info", "What an operator may want to know."),
        (Self::Debug, "debug", "For who looks for a fault."),
    ];
}

/// An event.
#[derive(Debug)]
pub struct Event {
    /// How bad it is.
    pub level: Level,
    /// Its text, as it is in the code; what is in braces differs.
    pub text: &'static str,
    /// The names of its fields.
    pub fields: &'static [&'static str],
    /// What it means, or what to do.
    pub meaning: &'static str,
}

/// The one event that each call has, in a target of its own. It has no text.
pub const CALL: Event = Event {
    level: Level::Info,
    text: "",
    fields: &["method", "status", "duration_us", "request_id", "trace_id", "caller", "peer"],
    meaning: "A call is over.",
};

/// What its fields are.
const CALL_FIELDS: [(&str, &str); 7] = [
    ("method", "the path of the method, as it was called"),
    ("status", "the gRPC status, such as `Ok` or `NotFound`; `Cancelled` if the client went away"),
    ("duration_us", "from the headers of the call to its end, in microseconds; a stream's whole life"),
    (
        "request_id",
        "the caller's `x-request-id`, or one that was made; it is in the response and in the change log too",
    ),
    ("trace_id", "the trace that the call belongs to, if its caller named one or the call is traced"),
    ("caller", "who called: `user:ID`, `api_key:ID`, `service:NAME`, `anonymous`, and so on"),
    ("peer", "the address and port that the call came from, or the operator's socket"),
];

macro_rules! events {
    ($($level:ident $text:literal $fields:expr, $meaning:literal;)+) => {
        /// All others.
        pub const EVENTS: &[Event] =
            &[$(Event { level: Level::$level, text: $text, fields: &$fields, meaning: $meaning },)+];
    };
}

events! {
    Error "the store does not answer" ["error"], "Health checks say so. Every call that needs the store fails.";
    Error "the store failed" ["request_id", "cause"],
        "A call was answered UNAVAILABLE, or RESOURCE_EXHAUSTED for a full disk: look at disk and file system.";
    Error "internal error" ["request_id", "cause"], "A call was answered INTERNAL: a mistake of ours, or a damaged database.";
    Error "who is online is not shared: the system gives no random numbers" ["error"],
        "Start the server again; other servers do not see who is online here.";
    Error "a page could not do what was asked" ["error"], "The same, of a page behind a mailed link.";
    Error "a commit failed" ["error", "commands"], "None of its commands has changed anything, and their callers know.";
    Error "a command failed" ["error", "command"],
        "On PostgreSQL: it has changed nothing, or it is not known whether it has; its caller was told UNAVAILABLE.";
    Error "stop the server and put the last backup in place: roster restore BACKUP --force" ["error"],
        "The check of a large file found damage.";
    Error "cannot check the database file" ["error"], "The check of a large file could not begin.";
    Error "cannot read how far the change log goes" ["error"], "Those who watch hear of changes with the next commit.";
    Error "the search index cannot follow" ["error"], "Searches go on, and become slower.";
    Error "the search index's thread panicked" [], "A mistake of ours.";
    Error "the SQLite writer thread panicked" [], "A mistake of ours.";
    Error "the checkpoint thread panicked" [], "A mistake of ours.";
    Error "the checkpoint thread is gone" [], "A mistake of ours: the write-ahead log grows until the server is started anew.";
    Error "the signing keys cannot be used" ["error"], "Access tokens cannot be verified.";
    Error "refused calls could not be written to the audit log" ["error"], "They are missing there.";
    Error "certificates not reloaded: those that were read before stay" ["error"], "Mend the files; they are looked at every second.";
    Error "{what}; the time of the server's certificate has not come" ["file", "from"], "Clients refuse it: look at the clock.";
    Error "{what}; the server's certificate has expired: renew it" ["file", "until"], "Clients refuse it.";
    Error "a connection's task ended by a fault" ["error"], "A mistake of ours; only that connection has ended.";
    Error "a worker thread is stuck in a call and is left behind" [], "At the end of a drain.";
    Error "the configuration cannot be read; the level of the log stays" ["error"], "After SIGHUP.";
    Warn "{warning}" [], "A setting is odd but no reason to stop.";
    Warn "lines were left out: standard error takes them too slowly" ["lines"], "How many, once there is room again.";
    Warn "cannot raise the limit of open files" ["error"], "Each connection is an open file: see `roster doctor`.";
    Warn "cannot do without huge pages; more memory will be used" ["error"], "";
    Warn "cannot lower the priority of a thread; it will slow calls" ["error", "thread"], "";
    Warn "no socket for this machine's operator; see operator_socket" ["path", "error"], "";
    Warn "connections refused: the limit is reached" ["max_connections", "times"],
        "At most once a second, with how often since the last time.";
    Warn "connections cannot be accepted; trying on" ["error", "times"], "Often too few open files: see `roster doctor`.";
    Warn "another user of this machine was refused at the operator's socket" ["times"], "";
    Warn "TLS handshake failed" ["addr", "error", "times"], "One of many is named. Port scanners cause it, and clients that lack the CA.";
    Warn "{what}; the server's certificate ends soon: renew it" ["file", "until"], "From 14 days before its end.";
    Warn "a read replica cannot be used" ["server", "error"],
        "Lists and searches that may be old are read from another or from the primary. It is tried again every second.";
    Warn "the change log cannot be followed" ["error"],
        "On PostgreSQL: the database is out of reach. Until it is followed again no grant is trusted and open streams end.";
    Warn "the schema cannot be migrated yet; trying again" ["error"],
        "On PostgreSQL, at the start: who has a lock on a table that changes. Servers that run go on. Given up after 20 seconds.";
    Warn "the database's locale knows no letters but ASCII's: searches for others read every user" ["server"],
        "On PostgreSQL, at the start: see docs/postgresql.md.";
    Warn "the change feed could not be read; trying again" ["error"], "Watchers hear of changes later.";
    Warn "housekeeping could not {step}" ["error"], "It is tried again a minute later.";
    Warn "refused calls are missing in the audit log: there were too many" ["lost"], "";
    Warn "a checkpoint failed" ["error", "mode"], "Nothing is lost: the next one takes it along.";
    Warn "cannot remove an index that does not fit" ["error", "path"], "The search index is made anew all the same.";
    Warn "the search index keeps the mode that new files get" ["error"], "Others of this machine may be able to read it.";
    Warn "the outbox cannot be read or written" ["error"], "Mails wait; it is tried again after 5 seconds.";
    Warn "a mail was not taken" ["mail_id", "attempt", "error", "again_at"], "It is tried again then.";
    Warn "a mail was given up" ["mail_id", "attempt", "error"], "It was refused for good, or its link has ended.";
    Warn "Redis is out of reach: each server limits by itself" ["error", "mend"],
        "Once, until it is in reach again. Calls do not wait for it.";
    Warn "Redis refuses a command" ["purpose", "error"],
        "At most once a minute: it is out of memory, cannot write to its disk, or its user may not. Calls go on without.";
    Warn "traces cannot be exported; calls go on, and their spans are lost" ["error"],
        "Once, until it works again: look at otlp_endpoint and the collector.";
    Warn "the collector of traces takes too long; spans were lost" [], "At the end of the server.";
    Info "a read replica can be used again" ["server"], "Lists and searches that may be old are read from it again.";
    Info "the change log is followed again" [], "The database is in reach again.";
    Info "Redis is in reach again" ["server", "away"], "And for how long it was not.";
    Info "the clients of another server are known" ["node"],
        "Who is online there is seen here, too. When one of the two starts, and after messages were missed.";
    Info "another server is silent: its clients count as gone" ["node"],
        "It has stopped, or one of the two does not reach Redis. Those who have come to another server are not gone.";
    Info "the schema of the database was migrated" ["version"], "On PostgreSQL, at the start.";
    Info "serving" ["version", "grpc_addr", "http_addr", "database", "tls", "dev"], "The server answers calls.";
    Info "draining: health is NOT_SERVING, calls in flight go on" ["grace"], "After SIGTERM or SIGINT.";
    Info "stopped" ["took", "closed", "cut"], "How many connections ended of themselves, and how many were cut.";
    Info "the level of the log was read anew" ["log_level"], "After SIGHUP.";
    Info "the database file was checked and is whole" ["path"], "The check of a large file, while serving.";
    Info "{what}" ["file", "until"], "Certificates were loaded, or read again because the files have changed.";
    Info "a mail is in the outbox; `roster mail show` has its text" ["mail_id", "kind", "user_id"], "With `--dev` alone.";
    Info "a mail was being sent; it is tried again after the next start" [], "At the end of the server.";
    Debug "the house is kept" [], "A round of housekeeping is done.";
    Debug "a mail was sent" ["mail_id", "attempt"], "The mail server took it.";
    Debug "connection ended" ["error"], "Before its client ended it.";
}

const HEAD: &str = "\
<!-- Written from crates/server/src/telemetry/events.rs by `UPDATE_DOCS=1 cargo test -p roster-server --lib telemetry`. -->

# Logs

To standard error, one event a line: for people on a terminal, one JSON object a line otherwise (`log_format` decides).
An object has `timestamp` (UTC, microseconds), `level` and `target` first, then `message` and the fields of the event. A
field of one of the first three names would be called `field.level` and so on.

Whatever a field holds, it stays on its line: control characters (CR, LF, ESC and the rest), line separators, and
characters that turn the direction of text are written as `\\u001b` or `\\u{1b}`. No event holds what was in a message, a
password, a token, or the text of a mail.

`log_level` says what is logged, by module too: `info,roster::call=off` leaves the lines of calls out,
`warn,roster_server::mail=debug` has all of what happens to mails, `info,tokio_postgres=info` the notices of PostgreSQL, which
are left out otherwise. SIGHUP has a server that does not run on a terminal
read it anew from `roster.toml` (a flag or a variable of the environment still wins):

```sh
kill -HUP \"$(cat roster.db.lock)\"
```

Lines are written by a thread of their own, within about a millisecond. When it cannot keep up and 4 MiB of them wait, lines
are left out rather than calls held up, and a line says how many.

## Calls

Each call has one event when it is over, of level INFO and with the target `roster::call`:

";

/// The page `docs/logs.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = format!("{HEAD}| field | what |\n| --- | --- |\n");
    // Writing to a string cannot fail.
    for (field, what) in CALL_FIELDS {
        let _ = writeln!(page, "| `{field}` | {what} |");
    }
    page.push_str("\n## Everything else\n\nThe target is the module. What is in braces differs.\n");
    for (level, name, what) in Level::ALL {
        let _ = writeln!(
            page,
            "\n### {}\n\n{what}\n\n| event | fields | meaning |\n| --- | --- | --- |",
            name.to_uppercase()
        );
        for event in EVENTS.iter().filter(|event| event.level == level) {
            let fields: Vec<_> = event.fields.iter().map(|field| format!("`{field}`")).collect();
            let _ = writeln!(page, "| {} | {} | {} |", event.text, fields.join(", "), event.meaning);
        }
    }
    page
}
