//! Every family that is exported, in the order of the page.

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something was how much.
    Histogram,
}

/// A family of samples.
#[derive(Debug)]
pub struct Metric {
    /// By [Prometheus' conventions](https://prometheus.io/docs/practices/naming/).
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal $labels:expr, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &$labels, help: $help };
        )+

        /// All of them.
        pub static ALL: &[&Metric] = &[$(&$constant,)+];
    };
}

metrics! {
    BUILD_INFO = Gauge "roster_build_info" ["version"], "Always 1; the label says which Roster this is.";
    CALLS = Counter "roster_calls_total" ["service", "method", "code"],
        "Calls that are over, by gRPC status. CANCELLED are those whose client went away, too.";
    CALL_DURATION = Histogram "roster_call_duration_seconds" ["service", "method"],
        "Time from the headers of a call to its end; a stream's whole life.";
    CALLS_IN_FLIGHT = Gauge "roster_calls_in_flight" ["service", "method"], "Calls that are under way.";
    CALLS_LIMITED = Counter "roster_calls_limited_total" ["class"],
        "Calls that were refused because of a rate, by the class of their method.";
    CALLS_REFUSED = Counter "roster_calls_refused_total" ["reason"],
        "Calls that were refused as RESOURCE_EXHAUSTED or UNAVAILABLE before they began to answer, by the reason of the error.";
    ADMISSION_LIMIT = Gauge "roster_admission_limit" [],
        "Calls that may wait for the workers together; falls when they are behind.";
    ADMISSION_WAITING = Gauge "roster_admission_waiting" [],
        "Calls that wait for their worker: those that were let in and are yet to begin.";
    ADMISSION_DELAY = Gauge "roster_admission_delay_seconds" [],
        "How long calls wait on the worker that is furthest behind.";
    ADMISSION_REFUSED = Counter "roster_admission_refused_total" ["class", "cause"],
        "Calls that were refused because there was too much to do, by the load class of their method: the worker was behind, the queue too long, or the deadline too near.";
    CONNECTIONS = Gauge "roster_connections" ["port"], "Connections that are open.";
    CONNECTIONS_ACCEPTED = Counter "roster_connections_accepted_total" ["port"], "Connections that were taken.";
    CERTIFICATE_EXPIRES = Gauge "roster_certificate_expires_timestamp_seconds" [],
        "When the server's certificate ends, in seconds since 1970. Only with TLS.";
    SIGN_INS = Counter "roster_sign_ins_total" ["outcome"],
        "Sign-ins: done, failed (wrong login or password), locked, busy (too many passwords to hash), or other.";
    SIGN_IN_FAILURES = Counter "roster_sign_in_failures_total" ["reason"],
        "Sign-ins with a wrong login or password: nobody has the login, the password is wrong, the user has none, or is not active.";
    GUESSES_REMEMBERED = Gauge "roster_failed_guesses_remembered" [],
        "Accounts, logins and addresses whose failed guesses this server remembers.";
    HASH_QUEUE = Gauge "roster_hash_queue_length" [], "Passwords that wait to be hashed or checked.";
    HASH_CAPACITY = Gauge "roster_hash_queue_capacity" [], "Passwords that may wait; further ones are refused.";
    HASH_WAIT = Histogram "roster_hash_wait_seconds" [], "How long a password waited for a thread.";
    HASH_DURATION = Histogram "roster_hash_duration_seconds" [], "How long it took to hash or check a password.";
    HASH_REFUSED = Counter "roster_hash_refused_total" [], "Passwords that were refused because the queue was full.";
    STORE_QUEUE = Gauge "roster_store_queue_length" ["queue"],
        "Commands that wait for the writer, and scans (lists, searches, exports) that wait for a thread.";
    STORE_CAPACITY = Gauge "roster_store_queue_capacity" ["queue"], "As many may wait; further ones are refused.";
    STORE_REFUSED = Counter "roster_store_refused_total" ["queue"],
        "Commands and scans that were refused because the queue was full.";
    STORE_COMMAND = Histogram "roster_store_command_duration_seconds" ["command"],
        "How long a command ran, without its wait and its commit.";
    STORE_WAIT = Histogram "roster_store_wait_seconds" ["queue"],
        "How long a command waited for the writer, or a scan for a thread.";
    STORE_COMMIT = Histogram "roster_store_commit_duration_seconds" [], "How long a commit took until it was on disk.";
    STORE_BATCH = Histogram "roster_store_batch_commands" [], "Commands that shared a commit.";
    STORE_FAILED = Counter "roster_store_commits_failed_total" [], "Commits that failed, with every command in them.";
    STORE_CHECKPOINT = Histogram "roster_store_checkpoint_duration_seconds" [],
        "How long it took to move the write-ahead log into the database.";
    STORE_WAL = Gauge "roster_store_wal_bytes" [], "Size of the write-ahead log after the last commit.";
    STORE_DISK_FREE = Gauge "roster_store_disk_free_bytes" [], "Room on the disk of the database.";
    STORE_CACHE = Counter "roster_store_cache_lookups_total" ["result"], "Looks for a user in memory: hit or miss. On PostgreSQL, only those of calls with x-max-staleness-ms.";
    STORE_REPLICA = Counter "roster_store_replica_reads_total" ["outcome"],
        "Lists and searches that a read replica would have done for: used; behind (no replica had what the caller allows, so the primary was asked); or failed (no replica could be used, so the primary was asked). Only over PostgreSQL.";
    REDIS_UP = Gauge "roster_redis_up" [],
        "1 while Redis answers in time, 0 while no call waits for it. This and the others of Redis only with redis_url.";
    REDIS_PING = Gauge "roster_redis_ping_seconds" [], "How long Redis took to answer the last ping.";
    REDIS_COMMANDS = Counter "roster_redis_commands_total" ["purpose", "outcome"],
        "What was asked of Redis: done, refused, late (no answer in time), lost (the connection broke), or skipped (not asked, because it had not answered).";
    REDIS_DURATION = Histogram "roster_redis_command_duration_seconds" ["purpose"], "How long Redis took to answer.";
    REDIS_BREAKER = Counter "roster_redis_breaker_opened_total" [],
        "How often no call waited for Redis any more, because it had not answered in time.";
    REDIS_CONNECTS = Counter "roster_redis_connects_total" ["outcome"], "Attempts to connect to Redis: done or failed.";
    REDIS_MESSAGES = Counter "roster_redis_messages_total" ["channel", "direction"],
        "Messages between servers through Redis: sent by this one, or heard by it.";
    REDIS_GAPS = Counter "roster_redis_message_gaps_total" [],
        "How often the connection that hears messages was made; those of before may have been missed.";
    LOG_POSITION = Gauge "roster_change_log_position" [], "The newest position of the change log.";
    PRESENCE_CLIENTS = Gauge "roster_presence_clients" [],
        "Clients that presence knows, those of other servers included: connected, or not yet forgotten.";
    PRESENCE_STREAMS = Gauge "roster_presence_streams" [], "Streams that keep clients present on this server.";
    PRESENCE_WATCHED = Gauge "roster_presence_watched" [], "Watches of presence, and client ids that they name.";
    PRESENCE_NODES = Gauge "roster_presence_nodes" [], "Other servers that tell through Redis who is online there.";
    PRESENCE_ELSEWHERE = Gauge "roster_presence_elsewhere" [],
        "Clients that are connected on other servers; one that is connected on two counts twice.";
    PRESENCE_CHANGES = Counter "roster_presence_changes_total" ["direction"],
        "Clients that other servers were told of, and that they have told of.";
    PRESENCE_READINGS = Counter "roster_presence_readings_total" [],
        "How often all clients of another server were read: when it is new here, and after messages were missed.";
    PRESENCE_IGNORED = Counter "roster_presence_ignored_total" [],
        "Messages about presence that could not be read, or are of more servers than 254.";
    WATCHERS = Gauge "roster_watchers" [], "Clients that follow the changes of users.";
    WATCHERS_REFUSED = Counter "roster_watchers_refused_total" [], "Watches that were refused because of watchers_max.";
    WATCH_LAG = Gauge "roster_watch_lag_changes" ["share"],
        "By how many positions of the change log watchers are behind: as far as half of them, nine in ten, or all are at most.";
    WATCHES_ENDED = Counter "roster_watches_ended_total" ["reason"],
        "Watches that are over: client (it has gone, or lost its access), too_slow (it read nothing for a minute), shutting_down, or other.";
    WATCH_RING = Gauge "roster_watch_ring_changes" [], "The newest changes that are kept in memory for watchers.";
    WATCH_RING_BYTES = Gauge "roster_watch_ring_bytes" [], "Memory that they take.";
    WATCH_READS = Counter "roster_watch_reads_total" [],
        "Reads of the store for those who watch. Those who are up to date share theirs.";
    MAILS = Counter "roster_mails_total" ["outcome"],
        "Attempts to send a mail: sent, retried (the server did not take it now), or given_up.";
    MAIL_WAITING = Gauge "roster_mail_waiting" [], "Mails that wait in the outbox, as of the last look at it.";
    MAIL_OLDEST = Gauge "roster_mail_oldest_seconds" [], "How long the oldest of them has waited; 0 if none does.";
    MAIL_FAILING = Gauge "roster_mail_failing" [], "1 while the mail server does not take mails.";
    AUDIT_LOST = Counter "roster_audit_events_lost_total" [],
        "Refusals that are missing in the audit log because there were too many.";
    TRACE_SPANS = Counter "roster_trace_spans_total" ["outcome"],
        "Spans of traces that are over: exported, dropped (the queue was full), or failed (the collector did not take them).";
    TRACE_QUEUE = Gauge "roster_trace_queue_length" [], "Spans that wait to be exported.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [], "Time of the processors that the process has used.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [], "Memory that the process holds.";
    PROCESS_THREADS = Gauge "process_threads" [], "Threads of the process.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" [], "Files and connections that are open.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [], "Files and connections that may be open.";
    PROCESS_START = Gauge "process_start_time_seconds" [], "When the process began, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let Metric { name, kind, labels, help } = metric;
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(name.starts_with("roster_") || name.starts_with("process_"), "{name}");
            assert!(!labels.contains(&"le") && !labels.contains(&"quantile") && help.ends_with('.'), "{name}");
            assert_eq!(ALL.iter().filter(|other| other.name == *name).count(), 1, "{name}");
        }
    }
}
